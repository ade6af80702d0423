/* Rows and frames of samples -> bytes, in the formats that /sample and /trajectory speak. Head,
   rows in order, tail: nothing is held back, so that an answer can be sent while it is computed. */
#ifndef PROTO_ROWS_H
#define PROTO_ROWS_H

#include "core/base/buf.h"
#include "core/flow/grid.h"
#include "core/flow/spec.h"
#include "core/table/schema.h"

enum row_format { ROWS_JSON, ROWS_NDJSON, ROWS_CSV, ROWS_NPY, ROWS_SSE };

/* "application/json" and so on; static. */
const char *row_format_type(enum row_format format);

/* Chooses from an Accept header by q and specificity among the formats of a route, listed best
   first; absent or empty: the first. The first also serves star/star. 0 or ERR_NOT_ACCEPTABLE
   (the message lists what can be had). */
int row_format_accept(enum row_format *out, const char *accept, const enum row_format *offered,
                      size_t count, struct err *err);

/* What an answer states about itself; all borrowed. */
struct rows_info {
    const char *model;
    uint64_t version;
    const struct sample_spec *spec; /* with the seed that is used */
    const struct grid *grid;
    const struct schema *schema;
};

struct rows_failure {
    uint64_t row;
    const char *status; /* row_status_name, not "ok" */
};

/* What rows under a method that chooses its steps took. */
struct rows_tally {
    uint64_t rows; /* 0: nothing to state */
    uint64_t evaluations_min, evaluations_max; /* of a row */
    uint64_t accepted, rejected; /* steps, of all rows */
};

/* What is known once all rows have ended; borrowed. */
struct rows_outcome {
    uint64_t evaluations; /* of all rows */
    struct rows_tally tally;
    const struct rows_failure *failures; /* [failure_count] */
    size_t failure_count;
};

/* Rows in order. A row with ok[i] false failed: null in JSON and NDJSON, empty cells in CSV, NaN in
   NPY. */
struct rows_piece {
    uint64_t first;    /* index of the first of them in the answer */
    const float *rows; /* [count, schema_width] encoded values, borrowed; finite where ok */
    const bool *ok;    /* [count] borrowed */
    size_t count;
};

/* /sample, in any format but SSE. NDJSON: one array a line; CSV: header and lines; NPY: [count,
   columns] float32, levels as their index; JSON: {"model", "version", "seed", "solver", "columns",
   "samples": [..], "evaluations", "failed": [..]}, and where rows chose their steps
   "evaluations_per_row": {"min", "mean", "max"} and "steps": {"accepted", "rejected"}. Numbers
   come back in the units of the table, rounded as its columns say; where decimals are free, as the
   shortest text of the float. */
void rows_head(struct buf *out, enum row_format format, const struct rows_info *info);
void rows_body(struct buf *out, enum row_format format, const struct rows_info *info,
               const struct rows_piece *piece);
void rows_tail(struct buf *out, enum row_format format, const struct rows_outcome *outcome);

/* /trajectory, in SSE, NDJSON or NPY. SSE: events start, state (its id is the frame), end; NDJSON:
   the same objects a line each, with "event" first; NPY: [frames, count, columns]. A frame's rows
   may come in several pieces: first = 0 opens it, and the piece that completes spec->count closes
   it. */
void frames_head(struct buf *out, enum row_format format, const struct rows_info *info);
void frames_body(struct buf *out, enum row_format format, const struct rows_info *info,
                 size_t frame, const struct rows_piece *piece);
void frames_tail(struct buf *out, enum row_format format, const struct rows_outcome *outcome);
/* An error after the first byte, in the place of what is left: SSE event "error" or an NDJSON line
   with the members of the problem document; nothing for NPY. Only between frames: inside one the
   stream can but end. */
void frames_error(struct buf *out, enum row_format format, const struct err *err);

#endif
