/* Any Accept header chooses one of what is offered, or is refused with a list of it. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "proto/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum row_format offered[] = {ROWS_NDJSON, ROWS_SSE, ROWS_CSV};
    enum row_format chosen = ROWS_JSON;
    struct err err = {0};
    char *accept = mem_strndup((const char *)data, size);
    check(accept != NULL);
    int code = row_format_accept(&chosen, accept, offered, 3, &err);
    check(code == 0 || code == ERR_NOT_ACCEPTABLE);
    check(code != 0 || chosen == ROWS_NDJSON || chosen == ROWS_SSE || chosen == ROWS_CSV);
    mem_free(accept);
    return 0;
}
