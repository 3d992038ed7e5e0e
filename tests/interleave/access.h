/*
 * Access: what the instruction that a process stands before is going to do to memory.
 *
 * Only x86-64. As much of the instruction set as compilers make of C; of what it does not know it
 * says so, and nothing is taken for harmless that is not. Not told: what goes by the stack pointer
 * alone (push, call, ret) or by a segment register, which is nobody else's, and rip-relative
 * operands, which lie in a program's own image.
 */
#ifndef SHMT_ACCESS_H
#define SHMT_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

#if defined(__x86_64__)
#define ACCESS_WORKS 1
#else
#define ACCESS_WORKS 0
#endif

struct access {
	uintptr_t address[2]; /* of operands in memory; strings have two */
	unsigned count;	      /* of them */
	unsigned bytes;	      /* of each, at most */
	bool is_store;	      /* no more than a store: it may stay in the processor's buffer */
	bool is_barrier;      /* empties that buffer: locked, or a fence */
	bool is_system_call;
	unsigned rounds_length; /* of the instruction, if it goes round and round by itself; or 0 */
};

/* By the bytes at @at and the registers as they are before it. False: not known. */
bool access_decode(const uint8_t *at, const struct user_regs_struct *registers,
		   struct access *ret_access);

#endif
