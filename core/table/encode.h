/* Rows of text cells -> floats, and floats -> cells. */
#ifndef CORE_TABLE_ENCODE_H
#define CORE_TABLE_ENCODE_H

#include "core/table/schema.h"

/* Rows with missing cells. */
enum missing_policy { MISSING_DROP, MISSING_IMPUTE };
const char *missing_policy_name(enum missing_policy policy);
bool missing_policy_find(const char *name, enum missing_policy *out);

/* Numbers become (x - mean) / std; a category becomes a block of one float a level, +1 for its own
   and -1 for the others: centred, and as wide as the unit Gaussian that a flow starts from.

   Encodes one row into out: [schema_width]. *complete = false when a cell was missing: with DROP
   the row is then left out by the caller, with IMPUTE out holds the mean or the most frequent
   level. 0, or ERR_FORMAT ("line 7, column Sex": a level or number the schema does not know). */
int encode_row(float *out, bool *complete, const struct schema *schema, const char *const *cells,
               const size_t *lengths, uint64_t line, struct err *err);

/* One decoded cell. */
struct cell {
    enum column_kind kind;
    double number; /* numeric: rounded to the column's decimals, or a float where they are free;
                      integer: a whole number; never -0 */
    size_t level;  /* categorical: index into column->levels */
};

/* in: [schema_width] finite, at any point of a trajectory; out: [schema->count]. The level is the
   largest of its block, the first of equals. A column that was constant in the data stays so.
   decode_row(encode_row(cells)) gives the same cells as long as a column's spread is below some
   2^22 units of its last digit: a float has 24 bits. */
void decode_row(struct cell *out, const struct schema *schema, const float *in);

#endif
