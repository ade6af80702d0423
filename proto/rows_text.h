/* The parts that answers with rows and answers with frames are made of. */
#ifndef PROTO_ROWS_TEXT_H
#define PROTO_ROWS_TEXT_H

#include "proto/json_write.h"
#include "proto/rows.h"

/* The rows as elements of a JSON array (ROWS_JSON), lines (ROWS_NDJSON, ROWS_CSV) or floats
   (ROWS_NPY). */
void rows_text_write(struct buf *out, enum row_format format, const struct schema *schema,
                     const struct rows_piece *piece);
/* "model", "version", "seed", "solver" and "columns". */
void rows_text_info(struct json_writer *w, const struct rows_info *info);
/* "evaluations", what it took a row where rows differ, and "failed". */
void rows_text_end(struct json_writer *w, const struct rows_outcome *outcome);
/* The line of column names. */
void rows_text_csv_header(struct buf *out, const struct schema *schema);

#endif
