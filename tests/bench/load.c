/* An HTTP client that loads a server and says how long its answers took.

     load PORT SECONDS CONNECTIONS RATE ACCEPT REQUESTS

   REQUESTS is a file of lines "ROWS BODY"; each POST /sample sends one of them, drawn at random.
   RATE 0: every connection sends its next request when it has the last answer whole (closed loop).
   Else requests come RATE times a second in a Poisson process, whether or not answers do, and wait
   for a free connection; a latency counts from the moment that a request was due, so that a server
   that stalls is charged for all that it kept waiting. One thread; the first WARM_SECONDS do not
   count. Prints one line of JSON. */
#include "core/base/check.h"
#include "core/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 8192, REQUESTS_MAX = 1024, EVENTS = 64, LATENCIES_MAX = 1 << 24, HEAD = 4096 };
static const double WARM_SECONDS = 0.5, DRAIN_SECONDS = 10;

struct request {
    char *text;
    size_t size;
    uint64_t rows;
};

/* Where an answer is being read. */
enum place { PLACE_HEAD, PLACE_BODY, PLACE_CHUNK_SIZE, PLACE_CHUNK, PLACE_TRAILER };

struct connection {
    int fd;
    const struct request *request; /* NULL: idle */
    double due;
    enum place place;
    char head[HEAD]; /* of the answer, or the line of a chunk's size */
    size_t head_size;
    uint64_t left; /* bytes of the body or the chunk */
    int status;
};

struct load {
    struct sockaddr_in address;
    double start, end, rate;
    struct request requests[REQUESTS_MAX];
    size_t request_count;
    struct connection *connections;
    size_t connection_count, busy;
    int poll;
    uint64_t random;
    double due;           /* of the next request, in an open loop */
    double *waiting;      /* [LATENCIES_MAX] due times without a connection */
    size_t wait_first, wait_end;
    float *latencies;     /* [LATENCIES_MAX] */
    size_t latency_count;
    uint64_t rows, failed;
    double last;          /* answer */
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* splitmix64 */
static uint64_t next_random(struct load *load)
{
    uint64_t z = load->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Seconds to the next request of a Poisson process. */
static double next_gap(struct load *load)
{
    double uniform = ((double)(next_random(load) >> 11) + 0.5) * 0x1p-53;
    return -log(uniform) / load->rate;
}

static void read_requests(struct load *load, const char *path, const char *accept)
{
    static char line[LINE], text[2 * LINE];
    FILE *file = fopen(path, "r");
    check(file);
    while (fgets(line, sizeof line, file) && load->request_count < REQUESTS_MAX) {
        struct request *request = &load->requests[load->request_count++];
        char *body;
        request->rows = strtoull(line, &body, 10);
        body += strspn(body, " ");
        body[strcspn(body, "\n")] = '\0';
        int size = snprintf(text, sizeof text,
                            "POST /sample HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: %s\r\n"
                            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                            accept, strlen(body), body);
        check(size > 0 && (size_t)size < sizeof text);
        request->size = (size_t)size;
        request->text = mem_alloc(request->size, 1);
        check(request->text);
        memcpy(request->text, text, request->size);
    }
    fclose(file);
    check(load->request_count > 0);
}

static void connection_open(struct load *load, struct connection *connection)
{
    int yes = 1;
    *connection = (struct connection){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    check(connection->fd >= 0);
    if (connect(connection->fd, (struct sockaddr *)&load->address, sizeof load->address)) {
        perror("connect");
        exit(1);
    }
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    check(epoll_ctl(load->poll, EPOLL_CTL_ADD, connection->fd, &event) == 0);
}

/* A request fits into an empty socket buffer: sent whole, or the connection is broken. */
static void connection_send(struct load *load, struct connection *connection, double due)
{
    connection->request = &load->requests[next_random(load) % load->request_count];
    connection->due = due;
    connection->place = PLACE_HEAD;
    connection->head_size = 0;
    load->busy++;
    check(send(connection->fd, connection->request->text, connection->request->size,
               MSG_NOSIGNAL) == (ssize_t)connection->request->size);
}

static void connection_done(struct load *load, struct connection *connection)
{
    double now = seconds();
    if (connection->due >= load->start + WARM_SECONDS && connection->due < load->end) {
        if (connection->status != 200)
            load->failed++;
        else if (load->latency_count < LATENCIES_MAX)
            load->latencies[load->latency_count++] = (float)(now - connection->due);
        if (now < load->end && connection->status == 200)
            load->rows += connection->request->rows;
        load->last = now;
    }
    connection->request = NULL;
    load->busy--;
}

static const char *header(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

/* The head is whole: what follows? */
static void connection_read_head(struct connection *connection)
{
    connection->head[connection->head_size] = '\0';
    const char *length = header(connection->head, "\r\ncontent-length:");
    connection->status = (int)strtol(connection->head + strlen("HTTP/1.1 "), NULL, 10);
    connection->head_size = 0;
    connection->place = length ? PLACE_BODY : PLACE_CHUNK_SIZE;
    connection->left = length ? strtoull(length, NULL, 10) : 0;
}

static bool ends_with(const struct connection *connection, const char *end)
{
    size_t size = strlen(end);
    return connection->head_size >= size &&
           memcmp(connection->head + connection->head_size - size, end, size) == 0;
}

/* Heads, chunk sizes and the end of the trailer are read by the byte. */
static void connection_take_byte(struct connection *connection, char c)
{
    check(connection->head_size + 1 < HEAD);
    connection->head[connection->head_size++] = c;
    if (connection->place == PLACE_HEAD && ends_with(connection, "\r\n\r\n")) {
        connection_read_head(connection);
    } else if (connection->place == PLACE_CHUNK_SIZE && connection->head_size > 2 &&
               ends_with(connection, "\r\n")) {
        connection->head[connection->head_size] = '\0';
        connection->left = strtoull(connection->head, NULL, 16);
        connection->place = connection->left ? PLACE_CHUNK : PLACE_TRAILER;
        connection->head_size = 0;
    }
}

static bool connection_complete(const struct connection *connection)
{
    return (connection->place == PLACE_BODY && connection->left == 0) ||
           (connection->place == PLACE_TRAILER && ends_with(connection, "\r\n"));
}

/* Returns true when the answer is whole. */
static bool connection_take(struct connection *connection, const char *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        if (connection->place == PLACE_BODY || connection->place == PLACE_CHUNK) {
            size_t part = connection->left < size - at ? (size_t)connection->left : size - at;
            connection->left -= part;
            at += part;
            if (connection->place == PLACE_CHUNK && connection->left == 0)
                connection->place = PLACE_CHUNK_SIZE;
        } else {
            connection_take_byte(connection, data[at++]);
        }
    }
    return connection_complete(connection);
}

static void load_send_next(struct load *load, struct connection *connection)
{
    double now = seconds();
    if (load->wait_first < load->wait_end)
        connection_send(load, connection, load->waiting[load->wait_first++]);
    else if (load->rate == 0 && now < load->end)
        connection_send(load, connection, now);
}

static void load_read(struct load *load, struct connection *connection)
{
    static char piece[1 << 18];
    ssize_t size = recv(connection->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) { /* the server closed it */
        close(connection->fd);
        if (connection->request) {
            connection->status = 0;
            connection_done(load, connection);
        }
        connection_open(load, connection);
        load_send_next(load, connection);
    } else if (connection_take(connection, piece, (size_t)size)) {
        connection_done(load, connection);
        load_send_next(load, connection);
    }
}

static struct connection *load_idle(struct load *load)
{
    for (size_t i = 0; load->busy < load->connection_count && i < load->connection_count; i++) {
        if (!load->connections[i].request)
            return &load->connections[i];
    }
    return NULL;
}

/* Sends what is due; seconds until the next is. */
static double load_arrivals(struct load *load)
{
    double now = seconds();
    if (load->rate == 0)
        return 1;
    for (; load->due <= now && load->due < load->end; load->due += next_gap(load)) {
        struct connection *idle = load_idle(load);
        if (idle)
            connection_send(load, idle, load->due);
        else if (load->wait_end < LATENCIES_MAX)
            load->waiting[load->wait_end++] = load->due;
    }
    return load->due < load->end ? fmax(load->due - now, 0) : 1;
}

static void load_run(struct load *load)
{
    struct epoll_event events[EVENTS];
    load->start = seconds();
    load->end += load->start;
    load->due = load->start;
    for (size_t i = 0; i < load->connection_count; i++)
        load_send_next(load, &load->connections[i]);
    for (;;) {
        double wait = load_arrivals(load), now = seconds();
        if ((now >= load->end && load->busy == 0) || now >= load->end + DRAIN_SECONDS)
            return;
        wait = fmin(wait, now < load->end ? load->end - now : 1);
        struct timespec limit = {(time_t)wait, (long)(1e9 * (wait - floor(wait)))};
        int count = epoll_pwait2(load->poll, events, EVENTS, &limit, NULL);
        for (int i = 0; i < count; i++)
            load_read(load, events[i].data.ptr);
    }
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct load *load, double q)
{
    size_t at = (size_t)(q * (double)load->latency_count);
    if (load->latency_count == 0)
        return 0;
    return load->latencies[at < load->latency_count ? at : load->latency_count - 1];
}

static void report(struct load *load)
{
    struct rusage usage;
    double span = load->end - load->start - WARM_SECONDS;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    qsort(load->latencies, load->latency_count, sizeof *load->latencies, compare);
    printf("{\"requests\": %.1f, \"rows\": %.1f, \"p50\": %.7f, \"p99\": %.7f, \"max\": %.7f, "
           "\"answers\": %zu, \"failed\": %llu, \"unanswered\": %zu, \"cpu\": %.3f}\n",
           (double)load->latency_count / span, (double)load->rows / span, quantile(load, 0.5),
           quantile(load, 0.99), quantile(load, 1), load->latency_count,
           (unsigned long long)load->failed, load->busy + load->wait_end - load->wait_first,
           cpu / (seconds() - load->start));
}

int main(int argc, char **argv)
{
    static struct load load;
    if (argc != 7) {
        fprintf(stderr, "usage: load PORT SECONDS CONNECTIONS RATE ACCEPT REQUESTS\n");
        return 2;
    }
    load.address = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    load.end = strtod(argv[2], NULL);
    load.connection_count = (size_t)strtoul(argv[3], NULL, 10);
    load.rate = strtod(argv[4], NULL);
    read_requests(&load, argv[6], argv[5]);
    load.connections = mem_alloc(load.connection_count, sizeof *load.connections);
    load.waiting = mem_alloc(LATENCIES_MAX, sizeof *load.waiting);
    load.latencies = mem_alloc(LATENCIES_MAX, sizeof *load.latencies);
    check(load.connections && load.waiting && load.latencies);
    load.poll = epoll_create1(0);
    check(load.poll >= 0);
    for (size_t i = 0; i < load.connection_count; i++)
        connection_open(&load, &load.connections[i]);
    load_run(&load);
    report(&load);
    return 0;
}
