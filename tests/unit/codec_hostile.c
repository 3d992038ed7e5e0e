/* Codecs and bytes that no codec wrote: refused by a result, or a value; nothing is read outside. */
#include <string.h>

#include "tests/support/codec.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

enum {
	INPUTS = 100000,
	SIZE_MAX_BYTES = 160
};

/* What was sent once, and is cut, changed or lengthened now. */
struct seed {
	uint8_t *data;
	uint64_t bytes;
};

static struct seed seed_of(const struct shmt_codec *codec, struct shmt_random *random)
{
	struct seed seed;
	void *value = codec->make(shmt_random_next(random) >> 12,
				  (unsigned)shmt_random_below(random, 40));

	seed.data = shmt_codec_encode(codec->codec, value, &seed.bytes);
	codec->drop(value);
	return seed;
}

/* Bytes that mean something to one codec or the other come more often than they would. */
static uint8_t any_byte(struct shmt_random *random)
{
	static const uint8_t telling[] =
		"{}[]\",:\\u0eE+-.tfn \x7f\x80\x92\xc1\xc6\xdb\xdd\xdf\xff";
	uint64_t number = shmt_random_next(random);

	return number & 256 ? (uint8_t)number : telling[(number & 255) % (sizeof(telling) - 1)];
}

static size_t random_input(struct shmt_random *random, uint8_t *input)
{
	size_t size = shmt_random_below(random, 24);

	for (size_t i = 0; i < size; i++)
		input[i] = any_byte(random);
	return size;
}

static size_t changed_input(const struct seed *seed, struct shmt_random *random, uint8_t *input)
{
	size_t size = seed->bytes < SIZE_MAX_BYTES ? seed->bytes : SIZE_MAX_BYTES;

	memcpy(input, seed->data, size);
	for (uint64_t i = shmt_random_below(random, 3); i > 0; i--)
		input[shmt_random_below(random, size)] = any_byte(random);
	return shmt_random_below(random, 4) == 0 ? size : shmt_random_below(random, size);
}

static void feed_codec(const struct shmt_codec *codec)
{
	struct shmt_random random = { shmt_seed() };
	uint64_t values = 0;
	uint8_t input[SIZE_MAX_BYTES];

	for (int round = 0; round < INPUTS / 100; round++) {
		struct seed seed = seed_of(codec, &random);

		for (int i = 0; i < 100; i++) {
			size_t size = i % 2 ? random_input(&random, input) :
					      changed_input(&seed, &random, input);

			values += shmt_codec_feed(codec, input, size);
		}
		ck_assert(shmt_codec_feed(codec, seed.data, seed.bytes));
		free(seed.data);
	}
	/* some are values, or nothing was tried */
	ck_assert_uint_gt(values, 100);
	ck_assert_uint_lt(values, INPUTS);
}

TEST(a_hundred_thousand_inputs_never_make_a_codec_read_outside, .rounds = SHMT_CODECS_MAX,
     .timeout_s = 30)
{
	const struct shmt_codec *codec = shmt_codecs();

	for (int i = 0; i < _i && codec->codec; i++)
		codec++;
	if (codec->codec)
		feed_codec(codec);
}

TEST(every_beginning_of_a_value_is_refused)
{
	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		void *value = codec->make(77, 33);
		uint64_t bytes;
		uint8_t *data = shmt_codec_encode(codec->codec, value, &bytes);

		for (uint64_t i = 0; i < bytes; i++) {
			/* where Protobuf's first field ends there is a value without the second */
			if (shmt_codec_feed(codec, data, i))
				ck_assert_str_eq(codec->codec->name, "protobuf");
		}
		codec->drop(value);
		free(data);
	}
}

SHMT_MAIN
