/*
 * codec: an event encoded as JSON, sent and taken out again in one process, against cJSON that prints
 * the same event into memory that is there already, the fastest way it has.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "shmclient/shmclient.h"

#define PIECE UINT64_C(32)

struct own {
	cJSON *event;
	cJSON *number; /* in it, another one each time */
	struct shmc_client *client;
	struct shmc_spsc *producer, *consumer;
	struct shmc_port port;
	char text[512];
};

static struct own *own_new(struct bench_contender *self)
{
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->event = cJSON_Parse("{\"time\":1700000000.123456,\"level\":\"info\",\"unit\":"
				 "\"pump.service\",\"pid\":4711,\"number\":0,\"pressure\":1.0325,"
				 "\"open\":true,\"text\":\"pressure is back within its limits\"}");
	own->number = cJSON_GetObjectItem(own->event, "number");
	if (own->number == NULL)
		bench_die("no event");
	self->own = own;
	return own;
}

static void close_one(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_spsc_close(own->producer);
	shmc_spsc_close(own->consumer);
	if (own->client)
		shmc_disconnect(own->client);
	cJSON_Delete(own->event);
	free(own);
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static const struct shmc_spsc_options options = { .capacity_bytes = 1 << 16 };
	struct own *own = own_new(self);
	struct shmc_error error;

	(void)side;
	bench_daemon_start();
	own->client = bench_daemon_connect(0);
	if (shmc_spsc_create(own->client, "bench/codec", &options, &error) != SHMC_OK ||
	    shmc_spsc_open(own->client, "bench/codec", SHMC_SPSC_PRODUCER, &own->producer,
			   &error) != SHMC_OK ||
	    shmc_spsc_open(own->client, "bench/codec", SHMC_SPSC_CONSUMER, &own->consumer,
			   &error) != SHMC_OK)
		bench_die("%s", error.text);
	own->port = shmc_port_spsc(own->producer);
	shmc_unlink(own->client, "bench/codec", NULL);
}

static void open_cjson(struct bench_contender *self, unsigned side)
{
	(void)side;
	own_new(self);
}

static void next_event(struct own *own)
{
	int next = own->number->valueint % 1000000 + 1;

	cJSON_SetNumberValue(own->number, next);
}

static void run_ours(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	struct own *own = self->own;
	struct shmc_message message;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 1; done <= count; done++) {
		next_event(own);
		if (shmc_port_send_value(&own->port, shmc_codec_json(), own->event, SHMC_TRY) !=
			    SHMC_OK ||
		    shmc_spsc_peek(own->consumer, SHMC_TRY, &message) != SHMC_OK ||
		    message.size < 100 || shmc_spsc_release(own->consumer, 1) != SHMC_OK)
			bench_die("not sent");
		if (done % PIECE == 0)
			bench_pieces_next(pieces);
	}
}

static void run_cjson(struct bench_contender *self, unsigned side, uint64_t count,
		      struct bench_pieces *pieces)
{
	struct own *own = self->own;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 1; done <= count; done++) {
		next_event(own);
		if (!cJSON_PrintPreallocated(own->event, own->text, sizeof(own->text), false))
			bench_die("not printed");
		if (done % PIECE == 0)
			bench_pieces_next(pieces);
	}
}

void bench_codec_json(struct bench_report *report)
{
	struct bench_contender ours = { .name = "codec",
					.piece = PIECE,
					.open = open_ours,
					.run = run_ours,
					.close = close_one };
	struct bench_contender cjson = { .name = "cJSON print alone",
					 .piece = PIECE,
					 .open = open_cjson,
					 .run = run_cjson,
					 .close = close_one };
	struct bench_contest contest = { .contender = { &ours, &cjson },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 1);
	result.bench = "codec.json";
	result.unit = "ns";
	result.bar = 1.1;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}
