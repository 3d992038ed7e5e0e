/*
 * What every shared layout has in common: the line size it is padded to and the asserts that
 * freeze it. Shared structs hold uint32_t, uint64_t and byte arrays only (plain or _Atomic),
 * padding is written out, and each is followed by SHMP_FREEZE and one SHMP_FIELD per field:
 * a change of any offset is a new layout version, never an accident.
 */
#ifndef SHMP_ABI_H
#define SHMP_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define SHMP_LINE 64u
#define SHMP_PAGE 4096u

#define SHMP_FREEZE(type, bytes) \
	static_assert(sizeof(struct type) == (bytes), #type " changed size")
#define SHMP_FIELD(type, field, offset) \
	static_assert(offsetof(struct type, field) == (offset), #type "." #field " moved")

#define SHMP_LIKELY(x)	 __builtin_expect(!!(x), 1)
#define SHMP_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SHMP_COLD	 __attribute__((cold, noinline))

static_assert(sizeof(_Atomic uint64_t) == 8, "64-bit atomics");
static_assert(_Alignof(_Atomic uint64_t) == 8, "64-bit atomics are aligned");
static_assert(sizeof(_Atomic uint32_t) == 4, "32-bit atomics");

static inline uint64_t shmp_round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) & ~(step - 1);
}

#endif
