#include "daemon/letter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int letter_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r, yes = 1;
	mode_t mask;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	/* before it has a name: no letter comes without its sender */
	r = setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	mask = umask(0177);
	if (r == 0)
		r = bind(fd, (struct sockaddr *)(void *)&address, sizeof(address));
	umask(mask);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void open_part(struct cmsghdr *part, struct letter *letter)
{
	size_t bytes = part->cmsg_len - CMSG_LEN(0);

	if (part->cmsg_level != SOL_SOCKET)
		return;
	if (part->cmsg_type == SCM_RIGHTS) {
		letter->fd_count = bytes / sizeof(int);
		memcpy(letter->fds, CMSG_DATA(part), bytes);
	} else if (part->cmsg_type == SCM_CREDENTIALS) {
		memcpy(&letter->sender, CMSG_DATA(part), sizeof(letter->sender));
	}
}

bool letter_receive(int socket, struct letter *ret_letter)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) +
					      CMSG_SPACE(sizeof(int) * LETTER_FDS_MAX)];
	struct iovec text = { ret_letter->text, NOTICE_BYTES_MAX };
	struct msghdr header = { .msg_iov = &text,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t bytes = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (bytes < 0)
		return false;
	ret_letter->sender.pid = 0;
	ret_letter->fd_count = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&header); part; part = CMSG_NXTHDR(&header, part))
		open_part(part, ret_letter);
	ret_letter->is_short = (header.msg_flags & MSG_CTRUNC) != 0;
	ret_letter->text[header.msg_flags & MSG_TRUNC ? 0 : bytes] = '\0';
	return true;
}

void letter_close(struct letter *letter)
{
	for (size_t i = 0; i < letter->fd_count; i++) {
		if (letter->fds[i] >= 0)
			close(letter->fds[i]);
	}
	letter->fd_count = 0;
}
