/*
 * Bytes that anybody may have put into a file, as one of save: refused with a reason, or pieces that
 * lie within the file. With an odd first byte the sums are made right first, so that what is
 * behind them is reached.
 */
#include "tools/archive.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/checksum.h"
#include "tests/support/fuzz.h"

static void mend(uint8_t *bytes, size_t size)
{
	size_t at = ARCHIVE_HEAD_BYTES;

	while (at <= size && size - at >= ARCHIVE_PIECE_BYTES + ARCHIVE_TAIL_BYTES) {
		uint32_t tail[2];
		uint64_t payload;

		memcpy(&payload, bytes + at + 16, sizeof(payload));
		payload = le64toh(payload);
		if (payload > size)
			return;
		at += ARCHIVE_PIECE_BYTES + payload + (-payload % 8);
		if (at > size || size - at < ARCHIVE_TAIL_BYTES)
			return;
		tail[0] = htole32(shmp_checksum(bytes, at));
		tail[1] = htole32(ARCHIVE_MARK);
		memcpy(bytes + at, tail, sizeof(tail));
		at += ARCHIVE_TAIL_BYTES;
	}
}

static void read_all(int fd, uint64_t size, bool takes_all)
{
	struct archive_reader reader;
	struct archive_piece piece;
	uint64_t pieces = 0;
	int r = archive_read(fd, &reader);

	while (r == 0 && (r = archive_next(&reader, takes_all, &piece)) == 0) {
		pieces++;
		FUZZ_CHECK(piece.at < size && piece.bytes < size);
		FUZZ_CHECK(piece.data || !takes_all);
		FUZZ_CHECK(pieces <= size / (ARCHIVE_PIECE_BYTES + ARCHIVE_TAIL_BYTES));
	}
	FUZZ_CHECK(r == 1 || *reader.why);
	archive_close_reader(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	int fd = memfd_create("archive", MFD_CLOEXEC);

	FUZZ_CHECK(copy && fd >= 0);
	if (size > 1) {
		memcpy(copy, data + 1, size - 1);
		if (data[0] & 1)
			mend(copy, size - 1);
		FUZZ_CHECK(write(fd, copy, size - 1) == (ssize_t)(size - 1));
		read_all(fd, size - 1, data[0] & 2);
	}
	free(copy);
	close(fd);
	return 0;
}
