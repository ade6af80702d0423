/* The directory of a job: what the daemon and the trainer hand each other. Its files appear by
   rename and are durable when a function that writes them returns. Blocking: never on the loop
   thread. */
#ifndef SERVER_TRAIN_JOB_DIR_H
#define SERVER_TRAIN_JOB_DIR_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "server/store/hash.h"

#include <stdbool.h>

#define JOB_DIR_REQUEST "request.json" /* train_request_encode: every default spelled out */
#define JOB_DIR_CSV "data.csv"         /* one of the two: a hard link to the dataset's file */
#define JOB_DIR_NPY "data.npy"
#define JOB_DIR_STATE "state.safetensors"       /* where the trainer goes on */
#define JOB_DIR_PREVIOUS "previous.safetensors" /* the state before that one */
#define JOB_DIR_MODEL                                                                              \
    "model.safetensors"                       /* the result; its presence means that training      \
                                                 ended */
#define JOB_DIR_PARTIAL "partial.safetensors" /* best weights of a run that was stopped or failed  \
                                               */
#define JOB_DIR_EVENTS "events.ndjson"        /* written by the daemon */

/* Longest line that advect-train prints: the start event names every column. */
enum { JOB_DIR_LINE = 2 * 1024 * 1024 };

/* Exit codes of advect-train. Anything else is a crash, after which the daemon starts it again. */
enum trainer_exit {
    TRAINER_DONE = 0,   /* JOB_DIR_MODEL is there */
    TRAINER_FAILED = 1, /* an error event says why; a second try would end the same way */
    TRAINER_USAGE = 2,
    TRAINER_STOPPED = 3, /* SIGTERM: the state is saved, the same command goes on */
};

/* *dir: a descriptor owned by the caller. 0, ERR_NOT_FOUND, ERR_IO. */
int job_dir_open(int *dir, const char *path, struct err *err);
/* Waits until no other process holds the directory; released when `dir` is closed. 0 or ERR_IO. */
int job_dir_lock(int dir, struct err *err);
bool job_dir_has(int dir, const char *name);
/* Appends the whole file to *out, up to out->limit. 0, ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_NOMEM,
   ERR_IO. */
int job_dir_read(int dir, const char *name, struct buf *out, struct err *err);
/* SHA-256 of a file. hex: [HASH_TEXT]. 0, ERR_NOT_FOUND, ERR_NOMEM, ERR_IO. */
int job_dir_hash(int dir, const char *name, char *hex, struct err *err);
/* Temp file, fsync, rename, fsync of the directory; where `keep` is not NULL an older file of
   that name is renamed to it first. 0, ERR_NO_SPACE, ERR_IO. */
int job_dir_write(int dir, const char *name, const char *keep, const struct buf *bytes,
                  struct err *err);

#endif
