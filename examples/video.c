/*
 * video camera|relay|viewer: pictures through three processes, worked on where they lie.
 *
 * camera reads pictures of one size (PPM, "P6", one behind the other) from its input, as `ffmpeg -i
 * FILE -f image2pipe -c:v ppm -` or `convert FILE... ppm:-` write them, straight into the stream;
 * its metadata say how large they are. relay makes them grey on the way from one stream to the next;
 * viewer writes them as PGM. Start them in any order. A camera that is killed may be followed by
 * another one: the numbers go on.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE_BYTES_MAX (4u << 20)

struct picture {
	uint32_t width, height;
};

static void die(const char *what, enum shmc_result result)
{
	fprintf(stderr, "video: %s: %s\n", what, shmc_result_text(result));
	exit(1);
}

static struct shmc_stream *open_stream(const char *name, enum shmc_stream_role role)
{
	/* room for four: the others can be late */
	struct shmc_stream_options options = { .capacity_bytes = 4 * PICTURE_BYTES_MAX,
					       .reuse = 1 };
	static struct shmc_client *client;
	struct shmc_stream *stream;
	struct shmc_error error;

	if ((!client && shmc_connect(NULL, &client, &error) != SHMC_OK) ||
	    shmc_stream_create(client, name, &options, &error) != SHMC_OK ||
	    shmc_stream_open(client, name, role, &stream, &error) != SHMC_OK) {
		fprintf(stderr, "video: %s\n", error.text);
		exit(1);
	}
	return stream;
}

/* Once for each stream: a successor finds them there. */
static void say_size(struct shmc_stream *stream, struct picture size)
{
	enum shmc_result result = shmc_stream_set_metadata(stream, &size, sizeof(size));

	if (result != SHMC_OK && result != SHMC_EXISTS)
		die("metadata", result);
}

static struct picture size_of(struct shmc_stream *stream)
{
	struct shmc_bytes metadata = { .size = 0 };
	struct picture size = { 0, 0 };
	enum shmc_result result;

	while ((result = shmc_stream_metadata(stream, SHMC_FOREVER, &metadata)) != SHMC_OK) {
		if (result != SHMC_CLOSED && result != SHMC_PEER_DEAD)
			die("metadata", result);
		shmc_stream_wait_peer(stream, SHMC_FOREVER);
	}
	if (metadata.size == sizeof(size))
		memcpy(&size, metadata.data, sizeof(size));
	if (size.width == 0 || size.height > PICTURE_BYTES_MAX / 3 / size.width)
		die("metadata", SHMC_CORRUPT);
	return size;
}

/* 0 when the writer has closed the stream. */
static int next(struct shmc_stream *stream, struct shmc_frame *frame, uint64_t bytes)
{
	enum shmc_result result;

	while ((result = shmc_stream_borrow(stream, SHMC_FOREVER, frame)) == SHMC_PEER_DEAD)
		shmc_stream_wait_peer(stream, SHMC_FOREVER);
	if (result == SHMC_CLOSED)
		return 0;
	if (result != SHMC_OK || frame->size != bytes)
		die("frame", result == SHMC_OK ? SHMC_CORRUPT : result);
	if (frame->flags & SHMC_GAP)
		fprintf(stderr, "video: picture %llu came, %llu was expected\n",
			(unsigned long long)frame->sequence, (unsigned long long)frame->expected);
	return 1;
}

static int camera(void)
{
	struct shmc_stream *video = open_stream("video", SHMC_STREAM_WRITER);
	struct picture size;
	enum shmc_result result;
	uint64_t bytes;
	void *room;

	while (scanf("P6 %u %u 255%*c", &size.width, &size.height) == 2) {
		say_size(video, size);
		bytes = 3 * (uint64_t)size.width * size.height;
		result = shmc_stream_reserve(video, bytes, SHMC_FOREVER, &room);
		if (result != SHMC_OK)
			die("reserve", result);
		if (fread(room, 1, bytes, stdin) != bytes)
			return 1; /* half a picture was never sent */
		shmc_stream_commit(video, bytes);
	}
	shmc_stream_close(video);
	return 0;
}

static int relay(void)
{
	struct shmc_stream *video = open_stream("video", SHMC_STREAM_READER);
	struct shmc_stream *grey = open_stream("grey", SHMC_STREAM_WRITER);
	struct picture size = size_of(video);
	uint64_t pixels = (uint64_t)size.width * size.height;
	struct shmc_frame frame;
	enum shmc_result result;
	void *room;

	say_size(grey, size);
	while (next(video, &frame, 3 * pixels)) {
		const unsigned char *from = frame.data;
		unsigned char *to;

		result = shmc_stream_reserve(grey, pixels, SHMC_FOREVER, &room);
		if (result != SHMC_OK)
			die("reserve", result);
		to = room;
		for (uint64_t i = 0; i < pixels; i++, from += 3)
			to[i] = (unsigned char)((77 * from[0] + 150 * from[1] + 29 * from[2]) >> 8);
		shmc_stream_commit(grey, pixels);
		shmc_stream_release(video, &frame);
	}
	shmc_stream_close(video);
	shmc_stream_close(grey);
	return 0;
}

static int viewer(void)
{
	struct shmc_stream *grey = open_stream("grey", SHMC_STREAM_READER);
	struct picture size = size_of(grey);
	struct shmc_frame frame;

	while (next(grey, &frame, (uint64_t)size.width * size.height)) {
		printf("P5 %u %u 255\n", size.width, size.height);
		fwrite(frame.data, 1, frame.size, stdout);
		shmc_stream_release(grey, &frame);
	}
	shmc_stream_close(grey);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "camera") == 0)
		return camera();
	if (argc == 2 && strcmp(argv[1], "relay") == 0)
		return relay();
	if (argc == 2 && strcmp(argv[1], "viewer") == 0)
		return viewer();
	fprintf(stderr, "usage: video camera|relay|viewer\n");
	return 1;
}
