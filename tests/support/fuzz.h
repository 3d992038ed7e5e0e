/*
 * A fuzz target: one function that takes any bytes, checks a property of ours and returns 0. In the
 * normal build fuzz_main.c replays its corpus and some seeded mutations as a TAP test; `dev fuzz`
 * builds the same file with libFuzzer.
 */
#ifndef SHMT_FUZZ_H
#define SHMT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The property failed: unlike assert, also with NDEBUG. */
#define FUZZ_CHECK(condition_)                                                           \
	do {                                                                             \
		if (!(condition_)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition_); \
			abort();                                                         \
		}                                                                        \
	} while (0)

#endif
