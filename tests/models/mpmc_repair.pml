/*
 * mpmc: producers of whom one is killed anywhere, and repair, which is killed, too, and run again.
 *
 * See protocol/mpmc.h. The index word is (position, owner of the position before); a claim replaces
 * it by compare-exchange, and nobody writes down that he won: repair asks for the owner at the next
 * position, of its slot, of its claimant's intent, and of the slot once more, and believes the answer
 * if the dead one's slot is as before. A consumer that never dies takes what is published, in order.
 *
 * A slot is (state, position, owner of the position before, as `about` says). Slots are never named
 * by anybody but their owners and repair. Variants that must be found:
 *
 *	INTENTS		repair takes the intent for the claim
 *	HASTY		repair does not look at the slot again
 *	CARELESS	the intent is cleared before the slot says what came of it
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#define SLOTS  2
#define NOBODY 7

mtype = { FREE, READY, TOMB };

byte tail, tail_owner = NOBODY; /* one word */
byte head;
mtype state[SLOTS] = FREE;
byte lap[SLOTS];    /* the position that the state is of, less the slot; one word with it */
byte before[SLOTS] = NOBODY; /* about */
bool has_intent[PRODUCERS];
byte intent[PRODUCERS], intent_owner[PRODUCERS]; /* one word with that */
bool is_dead;	    /* producer 0 */
bool is_repair_killed;

#define LAP(position_)	((position_) - (position_) % SLOTS)
#define IS(state_, position_) \
	(state[(position_) % SLOTS] == state_ && lap[(position_) % SLOTS] == LAP(position_))

active [PRODUCERS] proctype producer()
{
	byte self = _pid;
	byte t, owner, left = MESSAGES;
	bool won;

	{
		do
		:: left > 0 ->
			d_step { t = tail; owner = tail_owner };
			if
			/* full: until there is a change */
			:: !IS(FREE, t) ->
				(IS(FREE, t) || tail != t)
			:: IS(FREE, t) ->
				d_step {
					has_intent[self] = true;
					intent[self] = t;
					intent_owner[self] = owner
				};
				d_step {
					won = tail == t && tail_owner == owner;
					if
					:: won -> tail = t + 1; tail_owner = self
					:: else
					fi
				};
				if
				:: won ->
#ifdef CARELESS
					has_intent[self] = false;
#endif
					before[t % SLOTS] = owner;
					/* a living one's slot is nobody else's */
					d_step {
						assert(IS(FREE, t));
						state[t % SLOTS] = READY;
						won = false
					};
					left--
				:: else
				fi
			fi
		:: else -> break
		od
	} unless { self == 0 && is_dead }
}

/* In two steps as there: about is of the consumers' chain, then the slot of the next lap. */
active proctype consumer()
{
end:	do
	:: IS(READY, head) || IS(TOMB, head) ->
		before[head % SLOTS] = 0; /* the worst that it could say to repair */
		d_step {
			state[head % SLOTS] = FREE;
			lap[head % SLOTS] = LAP(head) + SLOTS;
			head++
		}
	od
}

#define IS_SETTLED(position_) \
	(lap[(position_) % SLOTS] == LAP(position_) && state[(position_) % SLOTS] != FREE)

active proctype broker()
{
	byte t, owner, i;

end:	is_dead -> /* or never */
again:	{
		if
		:: !has_intent[0] -> goto clear
		:: else
		fi;
		t = intent[0];
		if
		:: !IS(FREE, t) -> goto clear
		:: else
		fi;
#ifdef INTENTS
		if
		:: tail <= t -> goto clear
		:: else
		fi;
#else
		owner = NOBODY;
		if
		:: atomic { tail <= t -> skip }
		:: atomic { tail == t + 1 -> owner = tail_owner }
		:: atomic { tail > t + 1 -> skip };
			/* of the next slot, of intents, of the next slot again */
			if
			:: atomic { IS_SETTLED(t + 1) -> skip }; owner = before[(t + 1) % SLOTS]; goto told
			:: atomic { !IS_SETTLED(t + 1) -> skip }
			fi;
			i = 0;
			do
			:: i < PRODUCERS ->
				if
				:: atomic {
					has_intent[i] && intent[i] == t + 1 -> owner = intent_owner[i]
				   };
					goto told
				:: atomic { !(has_intent[i] && intent[i] == t + 1) -> i++ }
				fi
			:: else -> break
			od;
			if
			:: atomic { IS_SETTLED(t + 1) -> skip }; owner = before[(t + 1) % SLOTS]
			:: atomic { !IS_SETTLED(t + 1) -> skip }
			fi
		fi;
told:		if
		:: owner != 0 -> goto clear
		:: else
		fi;
#endif
#ifndef HASTY
		if
		:: !IS(FREE, t) -> goto clear
		:: else
		fi;
#endif
		/* about is a later owner's if the slot has moved on */
		d_step {
			assert(IS(FREE, t));
			before[t % SLOTS] = intent_owner[0]
		};
		/* a compare-exchange: who finds it moved on does nothing */
		d_step {
			if
			:: IS(FREE, t) -> state[t % SLOTS] = TOMB
			:: else
			fi
		};
clear:		has_intent[0] = false
	} unless { is_repair_killed };
	if
	:: is_repair_killed -> is_repair_killed = false; goto again
	:: else
	fi
}

active proctype death()
{
	if
	:: is_dead = true;
		if
		:: is_repair_killed = true
		:: skip
		fi
	:: skip
	fi
}

/* When nobody can go on: everything that was claimed has been published or given up. */
active proctype judge()
{
	timeout -> assert(head == tail)
}
