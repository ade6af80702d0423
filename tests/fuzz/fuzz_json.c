/* Any text: what parses is written back as text that parses, and is then written as it stands. */
#include "core/base/check.h"
#include "proto/json.h"

#include <string.h>

enum { TEXT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends what `text` is written back as. */
static int rewrite(struct buf *out, const char *text, size_t size, struct err *err)
{
    struct json_doc *doc;
    int code = json_parse(&doc, text, size, TEXT_MAX, err);
    if (code)
        return code;
    check(json_dump(json_root(doc), out) == 0);
    json_free(doc);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text[3];
    struct err err = {0};
    json_start();
    for (int i = 0; i < 3; i++)
        buf_init(&text[i], 8 * TEXT_MAX);
    if (rewrite(&text[0], (const char *)data, size, &err) == 0) {
        /* The second time, because -0 is read as the integer 0. */
        for (int i = 0; i < 2 && text[i].size <= TEXT_MAX; i++)
            check(rewrite(&text[i + 1], text[i].data, text[i].size, &err) == 0);
        if (text[2].size > 0) {
            check(text[1].size == text[2].size);
            check(memcmp(text[1].data, text[2].data, text[2].size) == 0);
        }
    } else {
        check(err.code == ERR_INVALID_JSON || err.code == ERR_TOO_LARGE);
    }
    for (int i = 0; i < 3; i++)
        buf_release(&text[i]);
    return 0;
}
