#include "server/http/router.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t router_decode(char *out, size_t max, const char *in, size_t size, bool plus)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        char c = plus && in[i] == '+' ? ' ' : in[i];
        if (c == '%' && i + 2 < size && hex_digit(in[i + 1]) >= 0 && hex_digit(in[i + 2]) >= 0) {
            c = (char)(hex_digit(in[i + 1]) * 16 + hex_digit(in[i + 2]));
            i += 2;
        }
        if (used + 1 >= max)
            return max;
        out[used++] = c;
    }
    out[used] = '\0';
    return used;
}

/* One segment of a pattern against one of a path; *param counts the {} seen. */
static bool segment_matches(const char *pattern, size_t pattern_size, const char *segment,
                            size_t size, char params[][ROUTER_PARAM], size_t *param)
{
    if (pattern[0] != '{')
        return pattern_size == size && memcmp(pattern, segment, size) == 0;
    if (size == 0 || *param >= EXCHANGE_PARAMS)
        return false;
    return router_decode(params[(*param)++], ROUTER_PARAM, segment, size, false) < ROUTER_PARAM;
}

static bool path_matches(const char *pattern, const char *path, size_t size,
                         char params[][ROUTER_PARAM])
{
    size_t param = 0;
    const char *end = path + size;
    while (*pattern == '/' && path < end && *path == '/') {
        pattern++;
        path++;
        size_t pattern_size = strcspn(pattern, "/");
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t segment = slash ? (size_t)(slash - path) : (size_t)(end - path);
        if (!segment_matches(pattern, pattern_size, path, segment, params, &param))
            return false;
        pattern += pattern_size;
        path += segment;
    }
    return *pattern == '\0' && path == end;
}

static void allow_add(char allow[ROUTER_ALLOW], const char *method)
{
    size_t used = strlen(allow);
    snprintf(allow + used, ROUTER_ALLOW - used, "%s%s", used ? ", " : "", method);
}

static void match_one(struct route_match *out, const struct route *route, const char *method,
                      const char *path, size_t path_size)
{
    char params[EXCHANGE_PARAMS][ROUTER_PARAM];
    for (size_t i = 0; i < EXCHANGE_PARAMS; i++)
        params[i][0] = '\0';
    if (!path_matches(route->path, path, path_size, params))
        return;
    out->path_known = true;
    bool get = strcmp(route->method, "GET") == 0;
    allow_add(out->allow, route->method);
    if (get)
        allow_add(out->allow, "HEAD");
    if (out->route)
        return;
    if (strcmp(route->method, method) == 0 || (get && strcmp(method, "HEAD") == 0)) {
        out->route = route;
        for (size_t i = 0; i < EXCHANGE_PARAMS; i++)
            memcpy(out->params[i], params[i], strlen(params[i]) + 1);
    }
}

void router_match(struct route_match *out, const struct route_set *sets, size_t set_count,
                  const char *method, const char *path, size_t path_size)
{
    *out = (struct route_match){0};
    for (size_t s = 0; s < set_count; s++) {
        for (size_t i = 0; i < *sets[s].count; i++)
            match_one(out, &sets[s].routes[i], method, path, path_size);
    }
    if (out->path_known)
        allow_add(out->allow, "OPTIONS");
}

bool router_type_accepted(const char *types, const char *content_type)
{
    size_t size = strcspn(content_type, "; \t");
    while (*types) {
        types += strspn(types, ", ");
        size_t length = strcspn(types, ", ");
        if (length == size && strncasecmp(types, content_type, size) == 0)
            return size > 0;
        types += length;
    }
    return false;
}
