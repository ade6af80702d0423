/* Reading the file of a dataset, CSV or NPY, as rows of text cells. Waits for the disk and
   computes: the files courier's thread, or the trainer. */
#ifndef SERVER_STORE_DATASET_FILE_H
#define SERVER_STORE_DATASET_FILE_H

#include "proto/csv.h"
#include "proto/request_codec.h"
#include "server/store/store.h"

/* All borrowed. */
struct dataset_file {
    int fd;
    uint64_t size;
    enum dataset_format format;
    const struct column_override
        *overrides; /* [override_count] a user's word on columns, or NULL */
    size_t override_count;
};

/* By the first bytes: NPY by its magic, else CSV. 0; ERR_FORMAT (empty), ERR_UNSUPPORTED (an
   archive, a pickle, a Parquet file: named), ERR_IO. */
int dataset_file_sniff(int fd, uint64_t size, enum dataset_format *out, struct err *err);

/* Calls `row` for the header (line 1) and each row, in order. An NPY array of shape [rows] or
   [rows, columns] has the header x0, x1, ... and its numbers as the shortest text that reads back;
   NaN is an empty cell. 0; ERR_FORMAT naming line and column, or for NPY "row 3, column x1" where a
   number is infinite (rows as NumPy counts them, from 0); ERR_IO, ERR_NOMEM; what `row` returned.
 */
int dataset_file_scan(const struct dataset_file *file, csv_row_fn row, void *context,
                      struct err *err);

/* One pass: the schema, inferred, and the file's hash. sha256: [HASH_TEXT], or NULL. The columns of
   an array are numeric where no override says otherwise, and keep all digits. Errors as above, and
   ERR_INVALID where an override names no column. */
int dataset_file_describe(const struct dataset_file *file, struct schema *schema, char *sha256,
                          struct err *err);

#endif
