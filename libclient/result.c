#include "shmclient/result.h"

const char *shmc_result_name(enum shmc_result result)
{
	switch (result) {
#define SHMC_RESULT_NAME(symbol, value, text) \
	case SHMC_##symbol:                   \
		return #symbol;
		SHMC_RESULTS(SHMC_RESULT_NAME)
#undef SHMC_RESULT_NAME
	}
	return "UNKNOWN";
}

const char *shmc_result_text(enum shmc_result result)
{
	switch (result) {
#define SHMC_RESULT_TEXT(symbol, value, text) \
	case SHMC_##symbol:                   \
		return text;
		SHMC_RESULTS(SHMC_RESULT_TEXT)
#undef SHMC_RESULT_TEXT
	}
	return "unknown result";
}
