/* The socket that the daemon listens on. No names are resolved: numeric addresses, and "localhost".
 */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include "core/base/err.h"

#include <sys/socket.h>

enum { LISTENER_TEXT = 64 };

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0" (a free port). 0 or ERR_INVALID. */
int listener_parse(struct sockaddr_storage *out, const char *text, struct err *err);
/* Binds and listens; *fd is the caller's. 0 or ERR_IO (in use, no right to the port, ...). */
int listener_open(int *fd, const struct sockaddr_storage *address, struct err *err);
/* The address that a listening socket has, as listener_parse reads it. out: [LISTENER_TEXT]. */
void listener_text(char *out, int fd);
socklen_t listener_size(const struct sockaddr_storage *address);

#endif
