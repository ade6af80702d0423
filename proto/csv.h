/* CSV, RFC 4180: a streaming reader fed with pieces of any size, and a writer. */
#ifndef PROTO_CSV_H
#define PROTO_CSV_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct csv_reader;

/* Called for each record, the header included (line 1). cells[i]: [lengths[i]] bytes, unquoted, a
   NUL behind them, valid during the call; count: the same for every record. line: where the record
   starts, counting line feeds, those in quotes too. Return 0 to go on; anything else stops the
   reader with that code. */
typedef int (*csv_row_fn)(void *context, const char *const *cells, const size_t *lengths,
                          size_t count, uint64_t line, struct err *err);

/* UTF-8 with or without BOM; LF or CRLF (a carriage return alone is an error outside quotes);
   commas. 0 or ERR_NOMEM. */
int csv_reader_new(struct csv_reader **out, csv_row_fn row, void *context);
void csv_reader_free(struct csv_reader *reader);
/* 0; ERR_FORMAT with "line 3, column 5" (a ragged row, a stray quote, a NUL, a bad UTF-8 byte, a
   field over LIMIT_CSV_FIELD, a record over LIMIT_CSV_LINE, more than LIMIT_CSV_COLUMNS);
   ERR_NOMEM; what `row` returned. After an error the reader only repeats it. Blank lines are
   skipped, so that in a table of one column an empty cell must be written as "". */
int csv_reader_feed(struct csv_reader *reader, const char *data, size_t size, struct err *err);
/* End of input: the last record may lack its line end. ERR_FORMAT on an open quote or no record. */
int csv_reader_finish(struct csv_reader *reader, struct err *err);

/* A field, quoted where it must be; an empty one is written as nothing. */
void csv_write_text(struct buf *out, const char *text);

#endif
