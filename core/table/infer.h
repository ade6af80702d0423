/* Schema inference over one pass of cells, in memory bounded by columns and levels.

   A column is integer when every cell that is present is a whole number without point or exponent,
   numeric when every one is a decimal number of float32's range, and categorical otherwise. */
#ifndef CORE_TABLE_INFER_H
#define CORE_TABLE_INFER_H

#include "core/table/cell.h"
#include "core/table/schema.h"

struct infer;

/* names: [count] borrowed, copied. 0, ERR_NOMEM, ERR_FORMAT (an empty, too long or duplicate name,
   a control character in one, no column, more than LIMIT_CSV_COLUMNS). */
int infer_new(struct infer **out, const char *const *names, size_t count, struct err *err);
void infer_free(struct infer *infer);
/* A user's word on a column, before the first row. ERR_INVALID when there is none of that name. */
int infer_override(struct infer *infer, const char *name, enum column_kind kind, struct err *err);
/* One row; cells[i]: [lengths[i]] bytes, not NUL-terminated. line: for errors. 0, ERR_NOMEM,
   ERR_FORMAT ("line 7, column Sex") when a cell contradicts an override, or is a level longer than
   LIMIT_LEVEL. Blanks around a number do not count; the text of a level is kept exactly. */
int infer_row(struct infer *infer, const char *const *cells, const size_t *lengths, uint64_t line,
              struct err *err);
/* Decides the kinds and fills *schema; call it once. ERR_FORMAT: no rows, a column whose every cell
   is missing, more than LIMIT_LEVELS levels (the message names the column and says what to do), or
   an encoded row wider than LIMIT_DIM. */
int infer_finish(struct infer *infer, struct schema *schema, struct err *err);

#endif
