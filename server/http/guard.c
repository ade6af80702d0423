#include "server/http/guard.h"

#include <string.h>
#include <strings.h>

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

int guard_target(const char *target, struct err *err)
{
    if (target[0] != '/')
        return err_set(err, ERR_MALFORMED, "", "The request target must start with a slash.");
    for (const char *c = target; *c; c++) {
        if (*c < 0x21 || *c > 0x7e)
            return err_set(err, ERR_MALFORMED, "",
                           "The request target must be printable ASCII; percent-encode the rest.");
        if (*c != '%')
            continue;
        if (!is_hex(c[1]) || !is_hex(c[2]))
            return err_set(err, ERR_MALFORMED, "",
                           "A %% in the request target must be followed by two hex digits.");
        if (c[1] == '0' && c[2] == '0')
            return err_set(err, ERR_MALFORMED, "", "The request target must not contain %%00.");
    }
    return 0;
}

static bool is_token(const char *text, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return size > 0;
}

static bool has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_named(const struct header *header, const char *name)
{
    return header->name_size == strlen(name) && strcasecmp(header->name, name) == 0;
}

const struct header *guard_find(const struct header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_named(&headers[i], name))
            return &headers[i];
    }
    return NULL;
}

static size_t count_named(const struct header *headers, size_t count, const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += is_named(&headers[i], name);
    return found;
}

static int parse_length(uint64_t *out, const struct header *header, struct err *err)
{
    uint64_t length = 0;
    for (size_t i = 0; i < header->value_size; i++) {
        char c = header->value[i];
        if (c < '0' || c > '9' || length > (UINT64_MAX - 9) / 10)
            return err_set(err, ERR_MALFORMED, "Content-Length", "It must be a number of bytes.");
        length = length * 10 + (uint64_t)(c - '0');
    }
    if (header->value_size == 0)
        return err_set(err, ERR_MALFORMED, "Content-Length", "It must be a number of bytes.");
    *out = length;
    return 0;
}

static int check_fields(const struct header *headers, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_token(headers[i].name, headers[i].name_size))
            return err_set(err, ERR_MALFORMED, "", "A header has a name that is not a token.");
        if (has_control(headers[i].value, headers[i].value_size))
            return err_set(err, ERR_MALFORMED, "",
                           "A header has a control character in its value.");
    }
    return 0;
}

static int check_framing(struct framing *out, const struct header *headers, size_t count,
                         bool http11, struct err *err)
{
    const struct header *length = guard_find(headers, count, "Content-Length");
    const struct header *coding = guard_find(headers, count, "Transfer-Encoding");
    *out = (struct framing){.chunked = coding != NULL, .has_body = coding != NULL};
    if (count_named(headers, count, "Content-Length") > 1)
        return err_set(err, ERR_MALFORMED, "Content-Length", "It must be given once.");
    if (count_named(headers, count, "Transfer-Encoding") > 1)
        return err_set(err, ERR_MALFORMED, "Transfer-Encoding", "It must be given once.");
    if (coding && (length || !http11))
        return err_set(err, ERR_MALFORMED, "Transfer-Encoding",
                       "It belongs to HTTP/1.1 and excludes Content-Length.");
    if (coding && (coding->value_size != 7 || strcasecmp(coding->value, "chunked") != 0))
        return err_set(err, ERR_MALFORMED, "Transfer-Encoding", "Only chunked is known.");
    if (!length)
        return 0;
    int code = parse_length(&out->length, length, err);
    out->has_body = out->length > 0;
    return code;
}

int guard_headers(struct framing *out, const struct header *headers, size_t count, bool http11,
                  struct err *err)
{
    int code = check_fields(headers, count, err);
    if (code)
        return code;
    size_t hosts = count_named(headers, count, "Host");
    if (hosts > 1 || (http11 && hosts == 0))
        return err_set(err, ERR_MALFORMED, "Host", "It must be given exactly once.");
    code = check_framing(out, headers, count, http11, err);
    if (code)
        return code;
    const struct header *encoding = guard_find(headers, count, "Content-Encoding");
    if (encoding && strcasecmp(encoding->value, "identity") != 0)
        return err_set(err, ERR_UNSUPPORTED, "Content-Encoding",
                       "Bodies are taken uncompressed only (identity).");
    return 0;
}
