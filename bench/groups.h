/*
 * Groups: what can be measured, each under its name.
 */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

#include "bench/report.h"

void bench_spsc_rtt(struct bench_report *report);
void bench_spsc_throughput(struct bench_report *report);
void bench_spsc_uncontended(struct bench_report *report);
void bench_spsc_wake(struct bench_report *report);
void bench_mpmc_uncontended(struct bench_report *report);
void bench_mpmc_1p1c(struct bench_report *report);
void bench_mpmc_contended(struct bench_report *report);
void bench_mpmc_2p2c(struct bench_report *report);
void bench_broadcast_rtt(struct bench_report *report);
void bench_broadcast_throughput(struct bench_report *report);
void bench_broadcast_writer(struct bench_report *report);
void bench_pipe_rtt(struct bench_report *report);
void bench_stream_loan(struct bench_report *report);
void bench_arena_lookup(struct bench_report *report);
void bench_array_read(struct bench_report *report);
void bench_buffer_write(struct bench_report *report);
void bench_buffer_read(struct bench_report *report);
void bench_lock_read(struct bench_report *report);
void bench_lock_write(struct bench_report *report);
void bench_record_snapshot(struct bench_report *report);
void bench_record_commit(struct bench_report *report);
void bench_pool_cycle(struct bench_report *report);
void bench_ring_bulk(struct bench_report *report);
void bench_rpc_rtt(struct bench_report *report);
void bench_codec_json(struct bench_report *report);
void bench_detect_kill(struct bench_report *report);
void bench_attach_latency(struct bench_report *report);
void bench_attach_rate(struct bench_report *report);
void bench_broker_memory(struct bench_report *report);
void bench_broker_idle(struct bench_report *report);

#endif
