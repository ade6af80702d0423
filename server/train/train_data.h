/* The rows of a job, read from its CSV or NPY file and encoded as floats. */
#ifndef SERVER_TRAIN_TRAIN_DATA_H
#define SERVER_TRAIN_TRAIN_DATA_H

#include "proto/request_codec.h"

struct train_data {
    struct schema schema; /* owned */
    float *rows;          /* [count, width] owned */
    size_t count;         /* rows to train on */
    size_t width;
    uint64_t dropped; /* rows left out for a missing cell */
    uint64_t imputed; /* rows whose missing cells were filled in */
};

/* Reads the data file of the job directory `dir` twice: once for the schema, once for the rows.
   0, or ERR_FORMAT (line and column), ERR_INVALID ("/columns": an override that names none),
   ERR_TOO_LARGE, ERR_NOT_FOUND, ERR_IO, ERR_NOMEM. */
int train_data_load(struct train_data *data, int dir, const struct train_request *request,
                    struct err *err);
void train_data_release(struct train_data *data);

#endif
