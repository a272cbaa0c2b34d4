/* Waiting, and what ends it: signals, a sink's reader that went away. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/text.h"
#include "bridge/relay/end.h"

static volatile sig_atomic_t stopped;
static int wake_fd = -1;
static int watched_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    if (stopped) {
        /* Asked twice: at once, as if nothing had been installed. */
        signal(number, SIG_DFL);
        raise(number);
    }
    stopped = 1;
    uint64_t one = 1;
    if (wake_fd >= 0 && write(wake_fd, &one, sizeof(one)) < 0)
        errno = saved;
    errno = saved;
}

int relay_stop_begin(struct err *err)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return err_sys(err, errno, "eventfd");
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        return err_sys(err, errno, "sigaction");
    return 0;
}

void relay_stop_watch(int sink_fd)
{
    watched_fd = sink_fd;
}

bool relay_stopped(void)
{
    return stopped;
}

static int left(uint64_t until_us)
{
    uint64_t now = time_mono_us();
    uint64_t ms = now >= until_us ? 0 : (until_us - now + 999) / 1000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int relay_poll(int fd, short events, int wait_ms)
{
    uint64_t until_us = wait_ms > 0 ? time_mono_us() + (uint64_t)wait_ms * 1000 : 0;
    for (;;) {
        if (stopped)
            return -EINTR;
        struct pollfd p[3] = {{.fd = fd, .events = events}, {.fd = wake_fd, .events = POLLIN}, {.fd = watched_fd}};
        int n = poll(p, 3, wait_ms > 0 ? left(until_us) : wait_ms);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (stopped)
            return -EINTR;
        if (n > 0 && (p[2].revents & (POLLERR | POLLHUP)))
            return -EPIPE;
        if (n > 0 && (p[2].revents & POLLNVAL))
            watched_fd = -1;
        if (n > 0 && p[0].revents)
            return 1;
        if (n == 0)
            return 0;
    }
}
