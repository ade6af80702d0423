#include "server/metrics.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double metrics_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                        0.25,   0.5,   1,      2.5,   5,    10,    30,   60};

enum { METRICS_BOUNDS = sizeof metrics_bounds / sizeof *metrics_bounds };

struct request_count {
    const char *operation;
    int status;
    uint64_t count;
};

struct duration {
    const char *operation;
    double sum;                           /* seconds */
    uint64_t buckets[METRICS_BOUNDS + 1]; /* not cumulative; the last is +Inf */
};

struct series {
    const char *name, *help, *type;
    double (*read)(void *context);
    void *context;
};

/* A growing array of `size`-byte elements. */
struct table {
    void *items; /* [capacity] owned */
    size_t count, capacity;
};

struct metrics {
    const char *version;
    time_t started;
    struct table counts;    /* struct request_count */
    struct table durations; /* struct duration */
    struct table series;    /* struct series */
};

struct metrics *metrics_new(const char *version)
{
    struct metrics *metrics = mem_zalloc(1, sizeof *metrics);
    if (metrics) {
        metrics->version = version;
        metrics->started = time(NULL);
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    mem_free(metrics->counts.items);
    mem_free(metrics->durations.items);
    mem_free(metrics->series.items);
    mem_free(metrics);
}

/* A zeroed element at the end, or NULL. */
static void *table_add(struct table *table, size_t size)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 16;
        void *items = mem_realloc(table->items, capacity, size);
        if (!items)
            return NULL;
        table->items = items;
        table->capacity = capacity;
    }
    char *item = (char *)table->items + table->count++ * size;
    memset(item, 0, size);
    return item;
}

static void count_request(struct table *counts, const char *operation, int status)
{
    struct request_count *items = counts->items;
    for (size_t i = 0; i < counts->count; i++) {
        if (items[i].status == status && strcmp(items[i].operation, operation) == 0) {
            items[i].count++;
            return;
        }
    }
    struct request_count *added = table_add(counts, sizeof *added);
    if (added)
        *added = (struct request_count){operation, status, 1};
}

static struct duration *find_duration(struct table *durations, const char *operation)
{
    struct duration *items = durations->items;
    for (size_t i = 0; i < durations->count; i++) {
        if (strcmp(items[i].operation, operation) == 0)
            return &items[i];
    }
    struct duration *added = table_add(durations, sizeof *added);
    if (added)
        added->operation = operation;
    return added;
}

void metrics_request(struct metrics *metrics, const char *operation, int status, double seconds)
{
    count_request(&metrics->counts, operation, status);
    struct duration *duration = find_duration(&metrics->durations, operation);
    if (!duration)
        return;
    size_t bucket = 0;
    while (bucket < METRICS_BOUNDS && seconds > metrics_bounds[bucket])
        bucket++;
    duration->buckets[bucket]++;
    duration->sum += seconds;
}

static int add_series(struct metrics *metrics, const struct series *series)
{
    struct series *added = table_add(&metrics->series, sizeof *added);
    if (!added)
        return ERR_NOMEM;
    *added = *series;
    return 0;
}

int metrics_gauge(struct metrics *metrics, const char *name, const char *help,
                  double (*read)(void *context), void *context)
{
    return add_series(metrics, &(struct series){name, help, "gauge", read, context});
}

int metrics_counter(struct metrics *metrics, const char *name, const char *help,
                    double (*read)(void *context), void *context)
{
    return add_series(metrics, &(struct series){name, help, "counter", read, context});
}

static void write_head(struct buf *out, const char *name, size_t length, const char *help,
                       const char *type)
{
    buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)length, name, help, (int)length, name,
               type);
}

static void write_value(struct buf *out, const char *name, const char *help, const char *type,
                        double value)
{
    write_head(out, name, strlen(name), help, type);
    buf_printf(out, "%s %.17g\n", name, value);
}

static void write_counts(struct buf *out, const struct table *counts)
{
    static const char name[] = "advectd_http_requests_total";
    const struct request_count *items = counts->items;
    write_head(out, name, sizeof name - 1, "Requests answered.", "counter");
    for (size_t i = 0; i < counts->count; i++)
        buf_printf(out, "%s{operation=\"%s\",code=\"%d\"} %llu\n", name, items[i].operation,
                   items[i].status, (unsigned long long)items[i].count);
}

static void write_durations(struct buf *out, const struct table *durations)
{
    static const char name[] = "advectd_http_request_duration_seconds";
    const struct duration *items = durations->items;
    write_head(out, name, sizeof name - 1, "From the request line to the last byte of the answer.",
               "histogram");
    for (size_t i = 0; i < durations->count; i++) {
        uint64_t seen = 0;
        for (size_t b = 0; b < METRICS_BOUNDS; b++) {
            seen += items[i].buckets[b];
            buf_printf(out, "%s_bucket{operation=\"%s\",le=\"%g\"} %llu\n", name,
                       items[i].operation, metrics_bounds[b], (unsigned long long)seen);
        }
        seen += items[i].buckets[METRICS_BOUNDS];
        buf_printf(out, "%s_bucket{operation=\"%s\",le=\"+Inf\"} %llu\n", name, items[i].operation,
                   (unsigned long long)seen);
        buf_printf(out, "%s_sum{operation=\"%s\"} %.9g\n", name, items[i].operation, items[i].sum);
        buf_printf(out, "%s_count{operation=\"%s\"} %llu\n", name, items[i].operation,
                   (unsigned long long)seen);
    }
}

/* Length of a name without its labels. */
static size_t family_length(const char *name)
{
    return strcspn(name, "{");
}

static void write_series(struct buf *out, const struct table *series)
{
    const struct series *items = series->items;
    for (size_t i = 0; i < series->count; i++) {
        size_t length = family_length(items[i].name);
        bool same = i > 0 && family_length(items[i - 1].name) == length &&
                    strncmp(items[i - 1].name, items[i].name, length) == 0;
        if (!same)
            write_head(out, items[i].name, length, items[i].help, items[i].type);
        buf_printf(out, "%s %.17g\n", items[i].name, items[i].read(items[i].context));
    }
}

static double resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    /* Not counted: ".", ".." and the directory itself. */
    double count = -3;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void metrics_write(struct metrics *metrics, struct buf *out)
{
    static const char info[] = "advectd_build_info";
    write_head(out, info, sizeof info - 1, "Always 1; the version is a label.", "gauge");
    buf_printf(out, "%s{version=\"%s\"} 1\n", info, metrics->version);
    write_counts(out, &metrics->counts);
    write_durations(out, &metrics->durations);
    write_series(out, &metrics->series);
    write_value(out, "process_resident_memory_bytes", "Resident memory.", "gauge",
                resident_bytes());
    write_value(out, "process_open_fds", "Open file descriptors.", "gauge", open_files());
    write_value(out, "process_cpu_seconds_total", "Processor time used.", "counter", cpu_seconds());
    write_value(out, "process_start_time_seconds", "Start, in seconds since 1970.", "gauge",
                (double)metrics->started);
}
