/* The result of a job: a checkpoint that the daemon serves and its owner can take away. */
#ifndef SERVER_TRAIN_TRAIN_MODEL_H
#define SERVER_TRAIN_TRAIN_MODEL_H

#include "core/train/trainer.h"
#include "server/train/train_data.h"
#include "server/train/train_report.h"

/* What is written; all borrowed. */
struct train_model {
    const struct trainer *trainer;
    const struct train_request *request;
    const struct train_data *data;
    const struct train_tally *tally;
    double seconds; /* spent on training, over all attempts */
};

/* Writes `name` (JOB_DIR_MODEL or JOB_DIR_PARTIAL): the best weights by validation loss where rows
   were held out, else the last ones, with columns, normalisation and a training record. 0,
   ERR_TOO_LARGE, ERR_NO_SPACE, ERR_IO, ERR_NOMEM. */
int train_model_write(const struct train_model *result, int dir, const char *name, struct err *err);

#endif
