/* Schema inference over one pass of cells, in memory bounded by columns and levels. */
#ifndef CORE_TABLE_INFER_H
#define CORE_TABLE_INFER_H

#include "core/table/schema.h"

struct infer;

/* names: [count] borrowed, copied. 0, ERR_NOMEM, ERR_FORMAT (empty or duplicate name). */
int infer_new(struct infer **out, const char *const *names, size_t count, struct err *err);
void infer_free(struct infer *infer);
/* A user's word on a column, before the first row. ERR_INVALID when there is none of that name. */
int infer_override(struct infer *infer, const char *name, enum column_kind kind, struct err *err);
/* One row; cells[i]: [lengths[i]] bytes, not NUL-terminated. line: for errors. 0, ERR_NOMEM,
   ERR_FORMAT ("line 7, column Sex") when a cell contradicts an override. */
int infer_row(struct infer *infer, const char *const *cells, const size_t *lengths, uint64_t line,
              struct err *err);
/* Decides the kinds and fills *schema. ERR_FORMAT: no rows, or a column whose every cell is
   missing, or more than LIMIT_LEVELS levels (the message names the column and says what to do). */
int infer_finish(struct infer *infer, struct schema *schema, struct err *err);

/* True for "", and for NA, N/A, NaN, null, None, ? in any case. */
bool cell_missing(const char *cell, size_t length);

#endif
