#include "tests/interleave/access.h"

#include <string.h>

#if ACCESS_WORKS

enum map {
	ONE,   /* opcodes of one byte */
	TWO,   /* behind 0f */
	THREE, /* behind 0f 38 and 0f 3a */
};

struct instruction {
	const uint8_t *next;
	enum map map;
	uint8_t opcode;
	uint8_t modrm;
	bool is_locked, is_repeated, is_private, is_word, is_vector, is_compressed;
	bool w, r, x, b; /* of the rex prefix, or what stands for it */
	unsigned vector_bytes;
};

static void take_rex(struct instruction *in, uint8_t rex)
{
	in->w = rex >> 3 & 1;
	in->r = rex >> 2 & 1;
	in->x = rex >> 1 & 1;
	in->b = rex & 1;
}

/* False: one that compilers do not use in 64-bit code. */
static bool take_prefixes(struct instruction *in)
{
	for (;; in->next++) {
		switch (*in->next) {
		case 0xf0:
			in->is_locked = true;
			break;
		case 0xf2:
		case 0xf3:
			in->is_repeated = true;
			break;
		case 0x64:
		case 0x65:
			in->is_private = true;
			break;
		case 0x66:
			in->is_word = true;
			break;
		case 0x2e: /* padding, and notrack */
		case 0x3e:
			break;
		case 0x67:
			return false;
		default:
			if ((*in->next & 0xf0) == 0x40)
				take_rex(in, *in->next++);
			return true;
		}
	}
}

static enum map map_of(unsigned number)
{
	return number == 1 ? TWO : THREE;
}

/* vex and evex prefixes, which stand for rex and the escape bytes. */
static void take_vector_prefix(struct instruction *in)
{
	const uint8_t *p = in->next;

	in->is_vector = true;
	if (p[0] == 0xc5) {
		in->map = TWO;
		in->vector_bytes = p[1] & 4 ? 32 : 16;
		in->next += 2;
		return;
	}
	take_rex(in, (uint8_t)((~p[1] >> 5 & 7) | (p[2] >> 4 & 8)));
	in->map = map_of(p[1] & 7);
	if (p[0] == 0xc4) {
		in->vector_bytes = p[2] & 4 ? 32 : 16;
		in->next += 3;
	} else {
		in->vector_bytes = 16u << (p[3] >> 5 & 3);
		in->is_compressed = true;
		in->next += 4;
	}
}

static void take_opcode(struct instruction *in)
{
	in->map = ONE;
	if (*in->next == 0xc5 || *in->next == 0xc4 || *in->next == 0x62) {
		take_vector_prefix(in);
	} else if (in->next[0] == 0x0f && (in->next[1] == 0x38 || in->next[1] == 0x3a)) {
		in->map = THREE;
		in->next += 2;
	} else if (in->next[0] == 0x0f) {
		in->map = TWO;
		in->next++;
	}
	in->opcode = *in->next++;
	in->modrm = *in->next;
}

/* No operand in memory, or on the stack, or in the code's own image. */
static bool is_plain_one(uint8_t op)
{
	if (op < 0x40)
		return (op & 7) == 4 || (op & 7) == 5;
	return (op >= 0x50 && op <= 0x5f) || op == 0x68 || op == 0x6a ||
	       (op >= 0x70 && op <= 0x7f) || (op >= 0x90 && op <= 0x99) || op == 0x9b ||
	       op == 0x9c || op == 0x9d || op == 0xa8 || op == 0xa9 || (op >= 0xb0 && op <= 0xbf) ||
	       op == 0xc2 || op == 0xc3 || op == 0xc9 || op == 0xcc || (op >= 0xe0 && op <= 0xe3) ||
	       op == 0xe8 || op == 0xe9 || op == 0xeb || op == 0xf5 || op == 0xf8 || op == 0xf9 ||
	       op == 0xfc || op == 0xfd;
}

static bool is_plain_two(const struct instruction *in)
{
	uint8_t op = in->opcode;

	if (in->is_vector)
		return op == 0x77;
	return op == 0x05 || op == 0x0b || op == 0x31 || op == 0x77 || (op >= 0x80 && op <= 0x8f) ||
	       op == 0xa2 || (op >= 0xc8 && op <= 0xcf);
}

/* An operand that is named and not touched: lea, prefetch, nop. */
static bool is_named_only(const struct instruction *in)
{
	if (in->map == ONE)
		return in->opcode == 0x8d;
	return in->map == TWO && !in->is_vector &&
	       (in->opcode == 0x0d || (in->opcode >= 0x18 && in->opcode <= 0x1f));
}

static bool has_operand_one(uint8_t op)
{
	if (op < 0x40)
		return (op & 7) < 4;
	return op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 ||
	       op == 0xc1 || op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) ||
	       (op >= 0xd8 && op <= 0xdf) || op == 0xf6 || op == 0xf7 || op == 0xfe || op == 0xff;
}

static uint64_t register_of(const struct user_regs_struct *r, unsigned number)
{
	const unsigned long long all[] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp,
					   r->rsi, r->rdi, r->r8,  r->r9,  r->r10, r->r11,
					   r->r12, r->r13, r->r14, r->r15 };

	return all[number];
}

static uint64_t displacement(const struct instruction *in, const uint8_t *at, bool is_long)
{
	int32_t value;

	if (!is_long)
		return (uint64_t)((int64_t)(int8_t)*at *
				  (in->is_compressed ? in->vector_bytes : 1));
	memcpy(&value, at, sizeof(value));
	return (uint64_t)(int64_t)value;
}

/* Of what modrm names. False: a register, or the program's own image. */
static bool address_of(const struct instruction *in, const struct user_regs_struct *registers,
		       uintptr_t *ret_address)
{
	unsigned mod = in->modrm >> 6, rm = in->modrm & 7, base = rm;
	const uint8_t *at = in->next + 1;
	uint64_t address = 0;

	if (mod == 3 || (mod == 0 && rm == 5))
		return false;
	if (rm == 4) {
		unsigned index = (*at >> 3 & 7) | (unsigned)in->x << 3;

		base = *at & 7;
		if (index != 4)
			address = register_of(registers, index) << (*at >> 6);
		at++;
	}
	if (rm == 4 && base == 5 && mod == 0)
		address += displacement(in, at, true);
	else
		address += register_of(registers, base | (unsigned)in->b << 3);
	if (mod != 0)
		address += displacement(in, at, mod == 2);
	*ret_address = address;
	return true;
}

static unsigned operand_bytes(const struct instruction *in)
{
	if (in->is_vector)
		return in->vector_bytes;
	if (in->map == ONE) {
		if ((in->opcode & 1) == 0 && in->opcode != 0x8e)
			return 1;
		return in->w ? 8 : in->is_word ? 2 : 4;
	}
	if (in->map == TWO && in->opcode >= 0x90 && in->opcode <= 0x9f)
		return 1;
	/* halves of a vector */
	if (in->map == TWO && (in->opcode == 0x12 || in->opcode == 0x13 || in->opcode == 0x16 ||
			       in->opcode == 0x17 || in->opcode == 0xd6))
		return 8;
	if (in->map == TWO && in->opcode == 0x7e && !in->is_repeated)
		return in->w ? 8 : 4;
	if (in->map == TWO && (in->opcode == 0x10 || in->opcode == 0x11) && in->is_repeated)
		return 8;
	if (in->map == TWO && ((in->opcode & 0xf0) == 0xb0 || in->opcode == 0xab))
		return 8;
	return 16;
}

/* What loads, changes and stores, unlocked: the store may stay in the buffer as any other. */
static bool is_change(const struct instruction *in)
{
	unsigned what = in->modrm >> 3 & 7;
	uint8_t op = in->opcode;

	if (in->map == TWO)
		return op == 0xab || op == 0xb3 || op == 0xbb || (op == 0xba && what > 4);
	if (op < 0x38)
		return (op & 7) < 2;
	if (op >= 0x80 && op <= 0x83)
		return what != 7;
	if (op == 0xfe || op == 0xff)
		return what < 2;
	if (op == 0xf6 || op == 0xf7)
		return what == 2 || what == 3;
	return op == 0xc0 || op == 0xc1 || (op >= 0xd0 && op <= 0xd3);
}

/* mov and its like, to memory. */
static bool is_move(const struct instruction *in)
{
	uint8_t op = in->opcode;

	if (in->map == ONE)
		return op == 0x88 || op == 0x89 || op == 0xc6 || op == 0xc7;
	return op == 0x11 || op == 0x13 || op == 0x17 || op == 0x29 || op == 0x2b || op == 0x7f ||
	       op == 0xd6 || op == 0xe7 || (op == 0x7e && !in->is_repeated) ||
	       (op >= 0x90 && op <= 0x9f && !in->is_vector);
}

static bool is_store(const struct instruction *in)
{
	return in->map != THREE && (is_move(in) || (!in->is_vector && is_change(in)));
}

static bool decode_string(const struct instruction *in, const uint8_t *begin,
			  const struct user_regs_struct *registers, struct access *access)
{
	if (in->opcode < 0xa4 || in->opcode > 0xaf || (in->opcode & 0xfe) == 0xa8)
		return false;
	access->bytes = operand_bytes(in);
	access->address[access->count++] = registers->rdi;
	access->address[access->count++] = registers->rsi;
	if (in->is_repeated)
		access->rounds_length = (unsigned)(in->next - begin);
	return true;
}

static bool decode_operand(const struct instruction *in, const struct user_regs_struct *registers,
			   struct access *access)
{
	/* xchg with memory is locked without saying so; mfence is a register of its group */
	access->is_barrier = in->is_locked ||
			     (in->map == ONE && (in->opcode & 0xfe) == 0x86 && in->modrm < 0xc0) ||
			     (in->map == TWO && !in->is_vector && in->opcode == 0xae &&
			      in->modrm == 0xf0);
	if (in->is_private || is_named_only(in) || !address_of(in, registers, &access->address[0]))
		return true;
	access->count = 1;
	access->bytes = operand_bytes(in);
	access->is_store = !access->is_barrier && is_store(in);
	return true;
}

bool access_decode(const uint8_t *at, const struct user_regs_struct *registers,
		   struct access *ret_access)
{
	struct instruction in = { .next = at };
	struct access access = { .count = 0 };

	*ret_access = access;
	if (!take_prefixes(&in))
		return false;
	take_opcode(&in);
	if (in.map == TWO && !in.is_vector && in.opcode == 0x05) {
		ret_access->is_system_call = true;
		return true;
	}
	if (in.map == ONE ? is_plain_one(in.opcode) : in.map == TWO && is_plain_two(&in))
		return true;
	if (in.map == ONE && !has_operand_one(in.opcode)) {
		if (!decode_string(&in, at, registers, &access))
			return false;
	} else if (!decode_operand(&in, registers, &access)) {
		return false;
	}
	*ret_access = access;
	return true;
}

#else

bool access_decode(const uint8_t *at, const struct user_regs_struct *registers,
		   struct access *ret_access)
{
	return false;
}

#endif
