/*
 * waiter: an event count whose publishers do not fence, with the store buffers of x86-64.
 *
 * See protocol/waiter.h. A waiter sets its bit, calls membarrier, looks again, sleeps by the key it
 * took first. Two publishers store, look at the bits, and where one is set raise the sequence and
 * wake all. The first publisher may be killed or stopped anywhere. The waiters wait for the second one;
 * with FOR_FIRST for the first one, or to be told that he is dead, and he is not stopped. A store goes to the buffer of its
 * process, and from there to memory at any time, or when membarrier or an atomic operation has it so.
 *
 * Nobody may be left asleep: spin tells that as an invalid end state. Variants that must be found:
 *
 *	NO_MEMBARRIER	the waiter passes a barrier of its own only
 *	KEY_LATE	the key is taken after the second look
 *	SENDER_CLEARS	whoever wakes clears the bits first
 *	QUIET_REPAIR	repair wakes nobody (with FOR_FIRST)
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#define PUBLISHERS 2

bool held[PUBLISHERS], published[PUBLISHERS]; /* in the buffer, in memory */
byte attention, asleep; /* a bit for each waiter */
byte sequence;
bool is_dead, is_stopped, is_mourned; /* the first publisher */

#ifdef FOR_FIRST
#define IS_THERE (published[0] || is_mourned)
#else
#define IS_THERE published[1]
#endif

inline flush(p)
{
	if
	:: held[p] -> held[p] = false; published[p] = true
	:: else
	fi
}

#define OWN (1 << _pid)

active [WAITERS] proctype waiter()
{
	byte key;

	do
	:: IS_THERE -> break
	:: else ->
#ifndef KEY_LATE
		key = sequence;
#endif
		attention = attention | OWN;
#ifndef NO_MEMBARRIER
		d_step { flush(0); flush(1) };
#endif
		if
		:: IS_THERE
		:: else ->
#ifdef KEY_LATE
			key = sequence;
#endif
			/* the kernel compares, and puts to sleep, in one step */
			if
			:: atomic { sequence == key -> asleep = asleep | OWN }; (asleep & OWN) == 0
			:: atomic { sequence != key -> skip }
			fi
		fi;
		attention = attention & ~OWN
	od
}

active [PUBLISHERS] proctype publisher()
{
	byte self = _pid - WAITERS;

	{
		held[self] = true; /* the store */
		if
		:: attention != 0 ->
#ifdef SENDER_CLEARS
			d_step { flush(self); attention = 0 };
#endif
			/* atomic operations empty the buffer of their processor */
			d_step { flush(self); sequence++ };
			asleep = 0
		:: else
		fi
	} unless { self == 0 && (is_dead || is_stopped) }
}

/* A store gets to memory at some time, also that of one who is stopped, or dead. */
active [PUBLISHERS] proctype buffer()
{
	byte self = _pid - WAITERS - PUBLISHERS;

end:	do
	:: atomic { held[self] -> held[self] = false; published[self] = true }
	od
}

/* One fault, or none; after a death, repair, once all that the dead one stored is in memory. */
active proctype broker()
{
	if
#ifndef FOR_FIRST
	:: is_stopped = true
#endif
	:: is_dead = true;
		d_step { flush(0) };
		is_mourned = true;
#ifndef QUIET_REPAIR
		sequence++;
		asleep = 0
#endif
	:: skip
	fi
}
