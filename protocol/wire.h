/*
 * Wire: one stream connection as NUL-ended messages with descriptors.
 *
 * Bytes only; what a message says is varlink.h's. Non-blocking and blocking sockets both work:
 * a call does one recvmsg or sends what goes, and says -EAGAIN when the socket would block.
 *
 * Descriptors travel on the first byte of their message, one such message per sendmsg; after a
 * partial send the rest goes without them. On receipt they belong to the message that holds the
 * last byte read by the recvmsg that brought them.
 *
 * A wire that takes no descriptors (the broker's) must not close those that a stranger sends:
 * the close may block for as long as the sender chose. Such a wire keeps them, says -EBADMSG and
 * is finished; its owner takes them away with shmp_wire_take_foreign and closes them, and the
 * socket, where blocking hurts nobody. Without room for them the kernel would close them inside
 * recvmsg, so there always is.
 *
 * An idle wire holds no buffer: input is freed once all of it is handed out.
 *
 * Threads: one at a time per wire.
 */
#ifndef SHMP_WIRE_H
#define SHMP_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#define SHMP_WIRE_REQUEST_BYTES_MAX (64u << 10) /* to the broker */
#define SHMP_WIRE_REPLY_BYTES_MAX   (4u << 20)	/* to a client */
#define SHMP_WIRE_FDS_MAX	    8u		/* per message */

struct shmp_wire_arrival;
struct shmp_wire_output;

struct shmp_wire {
	int fd;		/* -1 = taken away by the owner */
	bool takes_fds; /* false: a message with descriptors closes the connection */
	size_t message_bytes_max;
	/* input */
	char *in;
	size_t in_size;			       /* allocated */
	size_t in_used;			       /* bytes read */
	size_t in_start;		       /* first byte not yet handed out */
	size_t in_parsed;		       /* bytes searched for a NUL */
	struct shmp_wire_arrival *in_arrivals; /* descriptors not yet handed out, oldest first */
	int *foreign_fds;		       /* came where none are taken */
	size_t foreign_count;
	/* output */
	struct shmp_wire_output *out_first;
	struct shmp_wire_output *out_last;
	size_t out_bytes; /* queued, not yet taken by the socket */
};

#define SHMP_WIRE_NULL ((struct shmp_wire){ .fd = -1 })

struct shmp_wire_message {
	char *text; /* NUL-ended, valid until the next call of receive or next */
	size_t bytes;
	int fds[SHMP_WIRE_FDS_MAX]; /* the receiver's to close */
	size_t fd_count;
};

/* Takes over @fd. Allocates nothing. */
void shmp_wire_init(struct shmp_wire *wire, int fd, size_t message_bytes_max, bool takes_fds);
/*
 * Closes the socket (unless taken away: fd -1) and whatever descriptors it still holds; frees
 * the queues and leaves SHMP_WIRE_NULL.
 */
void shmp_wire_deinit(struct shmp_wire *wire);

/*
 * One recvmsg. 0; -EAGAIN; -EPIPE the other side hung up; -EMSGSIZE a message over the limit;
 * -EBADMSG descriptors where none are taken, cut off or out of place; another -errno. After
 * anything but 0 and -EAGAIN the wire is finished. Call it only after shmp_wire_next said 1.
 */
int shmp_wire_receive(struct shmp_wire *wire);
/*
 * The next whole message: 0; 1 when there is none yet; -EMSGSIZE, -EBADMSG as in receive.
 */
int shmp_wire_next(struct shmp_wire *wire, struct shmp_wire_message *ret_message);

/*
 * After -EBADMSG: hands out the descriptors that a stranger sent, in an array to be freed, and
 * returns how many; 0 leaves *ret_fds. Closing them may block, and so may closing the socket,
 * which may hold more: take wire->fd along and leave -1.
 */
size_t shmp_wire_take_foreign(struct shmp_wire *wire, int **ret_fds);

/*
 * Appends a message (@bytes without the NUL) and its descriptors, of which duplicates are not
 * taken: they must stay open until sent unless @close_fds, then they are the wire's from now on,
 * also on failure. 0 or -ENOMEM, which a NULL @text is as well: a printer's result can be
 * passed on as it is.
 */
int shmp_wire_queue(struct shmp_wire *wire, const char *text, size_t bytes, const int *fds,
		    size_t fd_count, bool close_fds);
/*
 * Sends a message of @bytes, its NUL included, without memory and past no other: 0; -EAGAIN: nothing
 * was sent, others are before it or there is no room; another -errno, -EPIPE when it was cut.
 */
int shmp_wire_send_now(struct shmp_wire *wire, const char *text, size_t bytes);
/* Sends what goes: 0 all sent; -EAGAIN; -ETOOMANYREFS try later; -EPIPE; another -errno. */
int shmp_wire_flush(struct shmp_wire *wire);

void shmp_wire_close_fds(const int *fds, size_t count);

#endif
