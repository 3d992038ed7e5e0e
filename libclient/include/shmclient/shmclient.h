/*
 * libshmclient: shared-memory queues between processes that may die at any instruction.
 *
 * One include for everything; each header also stands alone.
 */
#ifndef SHMCLIENT_SHMCLIENT_H
#define SHMCLIENT_SHMCLIENT_H

#include "shmclient/arena.h"
#include "shmclient/array.h"
#include "shmclient/atomic.h"
#include "shmclient/broadcast.h"
#include "shmclient/buffer.h"
#include "shmclient/client.h"
#include "shmclient/codec.h"
#include "shmclient/codec_json.h"
#include "shmclient/codec_struct.h"
#include "shmclient/mpmc.h"
#include "shmclient/observer.h"
#include "shmclient/pipe.h"
#include "shmclient/pool.h"
#include "shmclient/port.h"
#include "shmclient/record.h"
#include "shmclient/result.h"
#include "shmclient/ring.h"
#include "shmclient/rpc.h"
#include "shmclient/spsc.h"
#include "shmclient/stream.h"
#include "shmclient/type.h"

#define SHMC_VERSION_MAJOR 0
#define SHMC_VERSION_MINOR 1

#endif
