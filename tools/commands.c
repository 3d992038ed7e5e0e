#include "tools/commands.h"

#include <stdint.h>
#include <string.h>

const struct command commands[] = {
	{ "blocked", "[NAME]", 0, 1, "all", "who waits for whom, in the segment NAME or in all",
	  "A line for each who waits and whose move it takes: who holds the lock, has the message in "
	  "hand, reads slowest. KEPT is how long he has kept it, where the segment says that, which only "
	  "locks do; since when somebody waits no segment says. Whether a process is stopped or traced "
	  "is seen where /proc shows it to you; (nobody) has no process left that could do anything. Who "
	  "waits for the next message of somebody alive is shown with --all only.",
	  run_blocked },
	{ "create", "NAME [KIND] [OPTION=VALUE]...", 1, SIZE_MAX, "field fields reuse",
	  "make a segment",
	  "KIND is record where fields are given, otherwise spsc unless said; `shmbrokerctl kinds` "
	  "lists kinds and their options. Values may end in K, M or G; types have names: u64, double. "
	  "Of all kinds: mode=OCTAL sets the rights as in chmod (0600); owner=USER and group=GROUP "
	  "whose it is; huge_pages=yes puts the data into pages of 2 MiB; prefault=yes and mlock=yes "
	  "have whoever opens it fill its page tables and lock it into memory. What was rounded up is "
	  "shown. A record is made of fields: --field=temperature:double, --field=label:string:32 (32 "
	  "bytes of room), --field=samples:i32[16], --field=wheels:struct[4] and then "
	  "--field=wheels.pressure:float. In JSON they are an array of {\"name\":, \"type\":, \"count\":, "
	  "\"bytes\":}, or what describe --json printed of another record.",
	  run_create },
	{ "deaths", "[NAME]", 0, 1, "", "who died, what he held, and what was made of it",
	  "The newest first; of the segment or the process NAME only. Who dies again by the same name, "
	  "user, segment and role is one line, with how many TIMES. REPAIRED is how long after the "
	  "broker's notice of the death everything was taken back. How a process ended the kernel tells "
	  "only sometimes (Linux 6.15).",
	  run_deaths },
	{ "describe", "NAME", 1, 1, "", "everything about one segment, its endpoints included", "",
	  run_describe },
	{ "doctor", "", 0, 0, "", "examine a broker, and say what to do about what is found",
	  "Errors are wrong now, warnings soon may be, notes are worth knowing. Exit code 0: no errors and "
	  "no warnings; 1: some; 2: no broker answers, and the addresses that were tried are named. With "
	  "--json a finding is {\"severity\":, \"check\":, \"what\":, \"where\":, \"remedy\":}.",
	  run_doctor },
	{ "get", "NAME [FIELD|INDEX]", 1, 2, "",
	  "show a value of a record, an array or an atomic, or all of them",
	  "FIELD is a path like temperature, wheels[2].pressure, samples[7]. Needs the right to read "
	  "only and is noticed by nobody; what is shown of a record is of one version.",
	  run_get },
	{ "help", "[COMMAND]", 0, 1, "", "explain a command, or all of them", "", run_help },
	{ "kinds", "", 0, 0, "", "kinds of segments that the broker knows, with their options", "",
	  run_kinds },
	{ "ls", "[PREFIX]", 0, 1, "", "segments whose names begin with PREFIX", "", run_ls },
	{ "monitor", "", 0, 0, "timeout", "show what happens as it happens",
	  "Goes on with the next broker when one is lost, with an event of kind broker-back which says "
	  "how long nothing was heard. Ends by signal, or with exit code 3 when no broker is back within "
	  "--timeout, 10 s unless said.",
	  run_monitor },
	{ "peek", "NAME", 1, 1, "count follow hex max timeout",
	  "show what is in a segment of any kind, and take nothing",
	  "A line for each message, slot, field or element: its position, its state, who holds it "
	  "and its bytes, as text, or else as digits, of which --hex shows more than 256 B; cut at 64 KiB. "
	  "Needs the right to read only, writes nothing and is noticed by nobody. With --json a line "
	  "is {\"what\":, \"position\":, \"state\":, \"bytes\":, \"text\": or \"base64\":}.",
	  run_peek },
	{ "ping", "", 0, 0, "", "ask the broker whether it is there", "", run_ping },
	{ "pub", "NAME", 1, 1, "block create follow timeout", "send stdin, a message for each line",
	  "The newline is not sent; an empty line is an empty message. A line longer than the "
	  "queue's limit ends it, named by its number, with nothing of it sent. NAME may be an spsc, "
	  "an mpmc, a broadcast, a stream, or a pipe, of which pub is the client. While it is full "
	  "pub waits; the receiver of an spsc, a stream or a pipe that died or left is reported then, "
	  "unless --follow waits for the next one, and so is the end of the broker (exit code 3).",
	  run_pub },
	{ "restore", "FILE [NAME]", 1, 2, "",
	  "make what save has written into FILE anew, under its name or NAME",
	  "The file is read to its end before anything is made: one that is damaged, cut short or of "
	  "another format or layout is refused with exit code 65. A name that is there already is "
	  "refused; what fails on the way leaves nothing. Owner and group are kept where you may give "
	  "them; rights of a group that cannot be kept are taken away.",
	  run_restore },
	{ "rm", "NAME", 1, 1, "", "remove a name; whoever has it open keeps the memory", "",
	  run_rm },
	{ "save", "NAME FILE", 2, 2, "timeout",
	  "write all that is in a segment into FILE, while others go on using it",
	  "Messages that nobody has taken, values, bytes, an arena with its objects, or arena:object "
	  "alone; nothing is taken, and only a buffer is locked, to read, while it is copied "
	  "(--timeout). FILE is replaced when the new one is whole, and not before. What is saved of "
	  "each kind, and what is not, stands in docs/save.md.",
	  run_save },
	{ "sessions", "", 0, 0, "", "processes connected to the broker", "", run_sessions },
	{ "set", "NAME [FIELD|INDEX] VALUE", 2, 3, "timeout",
	  "change a value of a record, an array or an atomic",
	  "A time is 2026-11-21T14:30:05.5Z or nanoseconds, a duration 1.5s, 20ms, 3us or "
	  "nanoseconds, a uuid and bytes are hexadecimal. Before a VALUE that begins with - put --.",
	  run_set },
	{ "status", "", 0, 0, "", "the broker itself: where, how long, how much", "", run_status },
	{ "sub", "NAME", 1, 1, "count create follow from raw timeout",
	  "print what is sent, a line for each message",
	  "NAME may be an spsc, an mpmc, a broadcast, a stream, or a pipe, of which sub is the "
	  "host. A message is taken out of a queue after it is "
	  "written to stdout: what was being written when sub was killed comes again to the next one. "
	  "Ends when an spsc, a stream or a pipe is empty and its sender left (exit code 0) or "
	  "died (4), unless --follow waits for the next sender. The senders of the others come and go: it waits for what comes, "
	  "until --count, --timeout (5) or a signal ends it. Ends, with nothing to read, with the "
	  "broker (3). What is written over in a broadcast before sub has come to it is counted on "
	  "stderr, and sub goes on. With --json a message is {\"bytes\":, \"text\":} or, where it is no UTF-8, "
	  "{\"bytes\":, \"base64\":}, with \"redelivered\":true if an earlier receiver died with it.",
	  run_sub },
	{ "tail", "NAME", 1, 1, "count follow hex max timeout",
	  "show the last of what is in a segment of any kind, and take nothing",
	  "As peek, but the newest 10 of it, or --max. With --follow shows what comes from then on, "
	  "also when its receiver was faster where that can still be read, and says how much went "
	  "by unseen. Ends with the broker (exit code 3), by signal, after --count, or when nothing "
	  "new came within --timeout (5).",
	  run_tail },
	{ "version", "", 0, 0, "", "versions of this tool and of the broker", "", run_version },
};
const size_t command_count = sizeof(commands) / sizeof(*commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}
