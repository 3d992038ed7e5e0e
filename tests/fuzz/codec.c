/*
 * Bytes that anybody may have written, as a value of any codec: refused, or a value that can be sent
 * again. The first byte says of which codec.
 */
#include "tests/support/codec.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct shmt_codec *codecs = shmt_codecs();
	size_t count = 0;

	while (codecs[count].codec)
		count++;
	if (size > 0 && data[0] < SHMT_CODECS_MAX && data[0] < count)
		shmt_codec_feed(&codecs[data[0]], data + 1, size - 1);
	return 0;
}
