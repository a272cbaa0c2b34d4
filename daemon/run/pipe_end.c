#include "daemon/run/pipe_end.h"

#include <unistd.h>

int pipe_end_open(struct pipe_end *end, uv_loop_t *loop, int fd, void *owner, uv_close_cb closed)
{
    int rc = uv_poll_init(loop, &end->poll, fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    end->fd = fd;
    end->events = 0;
    end->closed = closed;
    end->poll.data = owner;
    return 0;
}

/* A change costs two calls of the system. */
void pipe_end_watch(struct pipe_end *end, int events, uv_poll_cb ready)
{
    if (end->fd < 0 || events == end->events)
        return;
    end->events = events;
    if (events)
        uv_poll_start(&end->poll, events, ready);
    else
        uv_poll_stop(&end->poll);
}

void pipe_end_close(struct pipe_end *end)
{
    if (end->fd < 0)
        return;
    uv_close((uv_handle_t *)&end->poll, end->closed);
    close(end->fd);
    end->fd = -1;
}
