/* The trainer's state on disk: everything that a run needs to go on and end with the same bits. */
#ifndef SERVER_TRAIN_TRAIN_STATE_H
#define SERVER_TRAIN_TRAIN_STATE_H

#include "core/train/trainer.h"
#include "server/store/hash.h"

/* What a state belongs to; one of another request or other data is not gone on from. */
struct train_identity {
    char request[HASH_TEXT]; /* SHA-256 of the file */
    char data[HASH_TEXT];
};

/* 0, ERR_NOT_FOUND, ERR_IO. */
int train_identity_read(struct train_identity *identity, int dir, struct err *err);

/* Makes the state durable in the job directory, keeping the one before it. seconds: spent on
   training so far. 0, ERR_NO_SPACE, ERR_IO, ERR_NOMEM. */
int train_state_save(const struct trainer *trainer, const struct train_identity *identity,
                     double seconds, int dir, struct err *err);

/* Fills an initialised trainer from the newest state that is whole and of that identity; false,
   with the trainer untouched, when there is none. */
bool train_state_load(struct trainer *trainer, const struct train_identity *identity,
                      double *seconds, int dir);

#endif
