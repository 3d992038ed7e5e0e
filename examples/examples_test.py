#!/usr/bin/env python3
"""Runs the examples, the demo and the README's first program as their readers will. TAP.

usage: examples_test.py BUILD_DIR SOURCE_DIR GROUP

GROUP is demo, first_program, many, restart, streaming, values or video. Each test is a function
named by a sentence; it fails by an exception. Everything happens in a temporary folder, with a
broker of its own. In the group restart, whose tests are those of others, the broker is killed again
and again, which nobody may notice.
"""

import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SLOW = int(os.environ.get("SHMT_SLOW", "1"))
KILLS_AFTER = (0.01 * SLOW, 0.2 * SLOW)  # at least, at most


class Place:
    """A folder, an environment that leads to its broker only, and the broker."""

    def __init__(self, build, source, kills=False):
        self.build, self.source = build, source
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.killer = Killer(self) if kills else None
        strangers = ("SHMBROKER_ADDRESS", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")
        self.env = {k: v for k, v in os.environ.items() if k not in strangers}
        self.env.update(XDG_RUNTIME_DIR=str(self.dir), XDG_CONFIG_HOME=str(self.dir))
        (self.dir / "tmp").mkdir()
        self.env["TMPDIR"] = str(self.dir / "tmp")
        self.started = []

    def start(self, *command, **options):
        process = subprocess.Popen(
            [str(word) for word in command],
            env=self.env,
            cwd=self.dir,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            text=True,
            **options,
        )
        self.started.append(process)
        return process

    def run(self, *command, status=0):
        """What it printed, both streams, when it ended as expected."""
        process = self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = process.communicate(timeout=60 * SLOW)[0]
        if (process.returncode == 0) != (status == 0):
            raise AssertionError(f"{shlex.join(map(str, command))}: {process.returncode}\n{said}")
        return said

    def start_broker(self, daemon, ctl):
        log = open(self.dir / "broker.log", "w")
        how = ["--supervise", "--no-backoff"] if self.killer else []
        broker = self.start(daemon, "--user", *how, stderr=log)
        log.close()
        end = time.monotonic() + 20 * SLOW
        while subprocess.run(
            [ctl, "ping"], env=self.env, stdin=subprocess.DEVNULL, capture_output=True
        ).returncode:
            if time.monotonic() > end or broker.poll() is not None:
                raise AssertionError((self.dir / "broker.log").read_text())
            time.sleep(0.02)
        if self.killer:
            self.killer.start()
        return broker

    def start_built_broker(self):
        return self.start_broker(
            self.build / "daemon" / "shmbrokerd", self.build / "tools" / "shmbrokerctl"
        )

    def example(self, name):
        return self.build / "examples" / name

    def clean_up(self):
        if self.killer:
            self.killer.stop()
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout:
                process.stdout.close()
        shutil.rmtree(self.dir)


class Killer(threading.Thread):
    """Kills the broker that its keeper has started last, as soon as it serves, and the next."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.log = place.dir / "broker.log"
        self.over = threading.Event()
        self.killed = 0

    def run(self):
        last = None
        while not self.over.wait(random.uniform(*KILLS_AFTER)):
            pid = re.findall(r"event=started .*?pid=(\d+)", self.log.read_text())[-1]
            if pid != last:
                os.kill(int(pid), signal.SIGKILL)
                self.killed += 1
            last = pid

    def stop(self):
        self.over.set()
        if self.is_alive():
            self.join()


# ---- demo ----------------------------------------------------------------------------------------


def run_demo(place, content):
    file = place.dir / "content"
    file.write_bytes(content)
    said = place.run("sh", place.source / "examples/demo.sh", place.build, file)
    assert said.count("byte-identical") == 2, said
    assert re.search(r"PEER_DEAD came [0-9]+ us after the kill", said), said
    assert not list((place.dir / "tmp").iterdir()), "the demo left files behind"


def a_text_arrives_as_it_was_although_its_producer_is_killed(place):
    run_demo(place, b"".join(b"line %d\n" % i for i in range(100_000)))


def odd_bytes_arrive_as_they_were(place):
    """Empty lines, NULs, every byte, lines longer than a message, no newline at the end."""
    noise = random.Random(1).randbytes(300_000)
    lines = b"".join(b"%d\r\n" % i for i in range(20_000))
    run_demo(
        place,
        b"\n\n\r\n\0\n" + bytes(range(256)) + b"x" * 100_000 + b"\n" + lines + noise + b"\n\nend",
    )


def a_file_that_is_not_there_is_an_error(place):
    said = place.run("sh", place.source / "examples/demo.sh", place.build, "none", status=1)
    assert "none cannot be read" in said, said


def a_file_too_short_to_be_killed_in_the_middle_is_an_error(place):
    (place.dir / "short").write_bytes(b"one line")
    said = place.run("sh", place.source / "examples/demo.sh", place.build, "short", status=1)
    assert "too few" in said, said


# ---- producer, consumer, event loop ----------------------------------------------------------------


def a_killed_producer_is_followed_by_one_that_sends_the_rest(place):
    """At full speed, at random instants, several times: the queue's count must be exact."""
    place.start_built_broker()
    file = place.dir / "in"
    file.write_bytes(b"".join(b"%d\n" % i for i in range(3_000_000)))
    consumer = place.start(place.example("consumer"), "q", "out", stderr=subprocess.PIPE)
    chance = random.Random(2)
    killed = 0
    while True:
        producer = place.start(place.example("producer"), "q", file, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.005, 0.05))
        if producer.poll() is not None or killed == 20:
            break
        producer.send_signal(signal.SIGKILL)
        producer.wait()
        killed += 1
    assert producer.wait(60 * SLOW) == 0
    said = consumer.communicate(timeout=60 * SLOW)[1]
    assert consumer.returncode == 0, said
    assert (place.dir / "out").read_bytes() == file.read_bytes()
    assert killed >= 1, "no producer was killed in mid-stream"


def an_event_loop_takes_every_line_and_ends_with_the_producer(place):
    place.start_built_broker()
    file = place.dir / "in"
    file.write_bytes(b"".join(b"line %d\n" % i for i in range(3_000)) + b"end")
    with open(place.dir / "out", "w") as out:
        consumer = place.start(place.example("event_loop"), "q", stdout=out, stderr=subprocess.PIPE)
    place.run(place.example("producer"), "q", file, "2000")
    said = consumer.communicate(timeout=60 * SLOW)[1]
    assert consumer.returncode == 0, said
    assert (place.dir / "out").read_bytes() == file.read_bytes()


# ---- video ---------------------------------------------------------------------------------------

WIDTH, HEIGHT = 320, 240


def pictures(count):
    """Moving waves of colour, as PPM."""
    for number in range(count):
        pixels = bytearray(3 * WIDTH * HEIGHT)
        for channel in range(3):
            line = bytes((x * x // 37 + number * 11 * (channel + 1)) & 255 for x in range(2 * WIDTH))
            rows = (line[y % WIDTH : y % WIDTH + WIDTH] for y in range(HEIGHT))
            pixels[channel::3] = b"".join(rows)
        yield b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT) + pixels


def grey(picture):
    """What the relay makes of it, as PGM."""
    pixels = picture[-3 * WIDTH * HEIGHT :]
    channels = zip(pixels[0::3], pixels[1::3], pixels[2::3])
    return b"P5 %d %d 255\n" % (WIDTH, HEIGHT) + bytes(
        (77 * red + 150 * green + 29 * blue) >> 8 for red, green, blue in channels
    )


def pictures_go_through_a_relay_and_their_camera_may_be_killed(place):
    """By a camera that has sent ten and half of the next one; its successor sends the rest."""
    place.start_built_broker()
    film = list(pictures(20))
    expected = [grey(picture) for picture in film]
    out = place.dir / "out.pgm"
    with open(out, "wb") as file:
        viewer = place.start(place.example("video"), "viewer", stdout=file, stderr=subprocess.PIPE)
    relay = place.start(place.example("video"), "relay", stderr=subprocess.PIPE)
    camera = place.start(place.example("video"), "camera", stdin=subprocess.PIPE)
    camera.stdin.buffer.write(b"".join(film[:10]) + film[10][:100_000])
    camera.stdin.buffer.flush()
    end = time.monotonic() + 20 * SLOW
    while out.stat().st_size < 10 * len(expected[0]) - 8192:  # what its buffer may hold back
        assert time.monotonic() < end, "ten pictures did not arrive"
        time.sleep(0.01)
    camera.kill()
    camera.wait()
    camera.stdin.close()
    (place.dir / "rest").write_bytes(b"".join(film[10:]))
    place.run("sh", "-c", f"exec {place.example('video')} camera < rest")
    said = relay.communicate(timeout=60 * SLOW)[1] + viewer.communicate(timeout=60 * SLOW)[1]
    assert (relay.returncode, viewer.returncode, said) == (0, 0, ""), said
    assert out.read_bytes() == b"".join(expected)


# ---- first program -------------------------------------------------------------------------------


def block(place, language, nth=0):
    """The README's nth block of a language."""
    readme = (place.source / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.M | re.S)[nth]


def install(place):
    """As `meson install`, below a folder of ours; the environment leads there."""
    root = place.dir / "root"
    place.run("meson", "install", "-C", place.build, "--no-rebuild", "--destdir", root)
    (pc,) = root.rglob("shmclient.pc")
    (library,) = root.rglob("libshmclient.so.0")
    (daemon,) = (path for path in root.rglob("shmbrokerd") if path.is_file())
    place.env.update(
        PKG_CONFIG_PATH=str(pc.parent),
        PKG_CONFIG_SYSROOT_DIR=str(root),
        PATH=f"{daemon.parent}:{place.env['PATH']}",
        LD_LIBRARY_PATH=str(library.parent),
    )
    place.env.pop("DESTDIR", None)


def the_first_program_does_what_the_readme_says(place):
    program = block(place, "c")
    assert program.count("\n") <= 30, "longer than 30 lines"
    (place.dir / "first.c").write_text(program)
    install(place)
    (compile_line,) = re.findall(r"^cc .*$", (place.source / "README.md").read_text(), re.M)
    place.run("sh", "-c", compile_line.replace("cc ", "cc -Wall -Wextra -Werror ", 1))
    bin_dir = place.env["PATH"].split(":")[0]
    broker = place.start_broker(f"{bin_dir}/shmbrokerd", f"{bin_dir}/shmbrokerctl")

    assert place.run("./first", "send") == ""
    assert place.run("./first", "receive") == "hello 0\nhello 1\nhello 2\n"

    broker.terminate()
    broker.wait(10)
    said = place.run("./first", "send", status=1)
    assert f"{place.dir}/shmbroker/shmbroker.sock" in said, said


def its_receiver_may_come_first(place):
    (place.dir / "first.c").write_text(block(place, "c"))
    install(place)
    place.run("sh", "-c", "cc first.c -o first $(pkg-config --cflags --libs shmclient)")
    place.start_built_broker()
    receiver = place.start("./first", "receive", stdout=subprocess.PIPE)
    time.sleep(0.1)
    place.run("./first", "send")
    assert receiver.communicate(timeout=20 * SLOW)[0] == "hello 0\nhello 1\nhello 2\n"


# ---- many ----------------------------------------------------------------------------------------


def what_many_send_at_once_is_received_and_counted(place):
    place.start_built_broker()
    said = place.run(place.example("mpmc_statistics"), "20000")
    assert len(re.findall("^sent +20000 messages", said, re.M)) == 4, said
    assert re.search("^all senders +80000 messages +640000 bytes", said, re.M), said
    assert re.search("^all receivers +80000 messages +640000 bytes", said, re.M), said


def every_line_of_many_writers_reaches_every_reader(place):
    place.start_built_broker()
    said = place.run(place.example("logger"), "2000")
    assert len(re.findall("^reader [0-9]+: 6000 lines, 0 lost", said, re.M)) == 2, said


# ---- values --------------------------------------------------------------------------------------


def events_of_many_writers_are_json_and_others_are_shown(place):
    place.start_built_broker()
    said = place.run(place.example("event_log"), "300")
    numbers = 4 * sum(range(300))
    assert len(re.findall(rf"reader \d+: 1196 events, 4 others, sum {numbers}\n", said)) == 2, said
    assert said.count("not an event: no JSON\n") == 8, said


def a_sensor_is_written_by_one_process_and_read_by_another_and_by_hand(place):
    place.start_built_broker()
    ctl = place.build / "tools" / "shmbrokerctl"
    said = place.run(place.example("sensor"), "2000")
    assert "sample 2000 of 20" in said, said
    assert "recent" in place.run(ctl, "describe", "sensor")
    assert place.run(ctl, "get", "sensor", "number") == "2000\n"
    place.run(ctl, "set", "sensor", "unit", "mbar")
    assert place.run(ctl, "get", "sensor", "unit") == "mbar\n"


def a_shared_array_is_filled_and_bulk_copied_by_another_process(place):
    place.start_built_broker()
    said = place.run(place.example("array_shared"), "50000")
    assert "50000 prices" in said, said


def a_simulation_is_found_by_name_in_its_arena(place):
    place.start_built_broker()
    said = place.run(place.example("simulation"), "1000")
    assert "particles: array" in said and "events: spsc" in said and "step: atomic" in said, said
    assert re.search("^1000 steps, [1-9][0-9]* turns, 0 of 1000 particles outside", said, re.M), said


def samples_that_were_measured_came_or_were_counted(place):
    place.start_built_broker()
    said = place.run(place.example("ring_samples"), "200000")
    match = re.match(r"(\d+) samples, their mean is [\d.]+; (\d+) came too fast$", said)
    assert match and int(match[1]) + int(match[2]) == 200000, said
    assert int(match[1]) >= 4096, said


def images_in_a_pool_are_handed_through_a_queue(place):
    place.start_built_broker()
    said = place.run(place.example("pool_images"), "200")
    assert said == "200 of 200 images as they were drawn\n", said


def what_killed_writers_left_in_a_buffer_is_told_and_mended(place):
    place.start_built_broker()
    said = place.run(place.example("buffer_recover"), "20")
    assert re.match("killed 20 writers, mended [0-9]+ times, .*checksum OK$", said), said


def two_workers_calculate_and_one_is_killed_in_the_middle_of_a_call(place):
    place.start_built_broker()
    said = place.run(place.example("rpc_calculator"), "2000")
    assert said == "2000 calls, 0 wrong, 1 of 2 workers killed in one of them\n", said


def a_calculator_answers_every_request_although_its_first_host_dies(place):
    place.start_built_broker()
    said = place.run(place.example("calculator"), "200")
    assert said == "200 answers, 1 of them by asking again\n", said


GROUPS = {
    "demo": [
        a_text_arrives_as_it_was_although_its_producer_is_killed,
        odd_bytes_arrive_as_they_were,
        a_file_that_is_not_there_is_an_error,
        a_file_too_short_to_be_killed_in_the_middle_is_an_error,
    ],
    "many": [
        what_many_send_at_once_is_received_and_counted,
        every_line_of_many_writers_reaches_every_reader,
        events_of_many_writers_are_json_and_others_are_shown,
    ],
    "streaming": [
        a_killed_producer_is_followed_by_one_that_sends_the_rest,
        an_event_loop_takes_every_line_and_ends_with_the_producer,
    ],
    "video": [pictures_go_through_a_relay_and_their_camera_may_be_killed],
    "values": [
        a_calculator_answers_every_request_although_its_first_host_dies,
        a_sensor_is_written_by_one_process_and_read_by_another_and_by_hand,
        a_shared_array_is_filled_and_bulk_copied_by_another_process,
        a_simulation_is_found_by_name_in_its_arena,
        samples_that_were_measured_came_or_were_counted,
        images_in_a_pool_are_handed_through_a_queue,
        two_workers_calculate_and_one_is_killed_in_the_middle_of_a_call,
        what_killed_writers_left_in_a_buffer_is_told_and_mended,
    ],
    "restart": [],
    "first_program": [
        the_first_program_does_what_the_readme_says,
        its_receiver_may_come_first,
    ],
}


for name in ("streaming", "many", "video", "values"):
    GROUPS["restart"] += GROUPS[name]


def main(build, source, group):
    failed = killed = 0
    kills = group == "restart"
    for number, test in enumerate(GROUPS[group], 1):
        place = Place(pathlib.Path(build).resolve(), pathlib.Path(source).resolve(), kills)
        try:
            test(place)
            print(f"ok {number} {test.__name__}")
        except Exception:
            failed += 1
            print(f"not ok {number} {test.__name__}")
            print(re.sub("^", "# ", traceback.format_exc(), flags=re.M))
        finally:
            place.clean_up()
            killed += place.killer.killed if place.killer else 0
    if kills:
        print(f"# {killed} brokers were killed")
        failed += killed < len(GROUPS[group])
    print(f"1..{len(GROUPS[group])}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in GROUPS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
