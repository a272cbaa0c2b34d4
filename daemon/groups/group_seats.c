/*
 * The members of a group, as its host knows them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/groups/group_impl.h"

struct group_seat *group_host_seat(const struct group_host *host, struct span name)
{
    struct group_seat *seat = host->seats;
    while (seat && !span_is(name, seat->name))
        seat = seat->next;
    return seat;
}

static void remove_seat(struct group_seat *seat)
{
    struct group_host *host = seat->host;
    delivery_forget(&host->delivery, &seat->core);
    *(seat->prev ? &seat->prev->next : &host->seats) = seat->next;
    if (seat->next)
        seat->next->prev = seat->prev;
    free(seat);
}

void group_host_sweep(struct group_host *host)
{
    struct group_seat *next;
    for (struct group_seat *seat = host->seats; seat; seat = next) {
        next = seat->next;
        if (!seat->connected && seat->core.open == 0)
            remove_seat(seat);
    }
}

static struct group_seat *add_seat(struct group_host *host, struct span name)
{
    static unsigned made;
    struct group_seat *seat = calloc(1, sizeof(*seat));
    if (!seat)
        return NULL;
    if (name.len > 0)
        memcpy(seat->name, name.ptr, name.len);
    else
        snprintf(seat->name, sizeof(seat->name), "m%llx-%x", (unsigned long long)time_now_ms(),
                 ++made);
    seat->host = host;
    seat->next = host->seats;
    if (host->seats)
        host->seats->prev = seat;
    host->seats = seat;
    return seat;
}

void group_host_close_seats(struct group_host *host, int why)
{
    for (struct group_seat *seat = host->seats; seat; seat = seat->next)
        if (seat->connected && !seat->closed) {
            seat->closed = why;
            delivery_willing(&host->delivery, &seat->core, false);
            seat->look(seat->arg);
        }
}

int group_host_join(struct group_host *host, struct span name, size_t window, bool follow,
                    struct group_seat **out, struct err *err)
{
    struct group_seat *seat = name.len > 0 ? group_host_seat(host, name) : NULL;
    if (seat && seat->connected && seat->yield && seat->yield(seat->arg))
        seat = group_host_seat(host, name);
    if (seat && seat->connected)
        return err_set(err, ERR_CONFLICT, "member %s is connected already", seat->name);
    if (seat && seat->core.leaving) { /* it lost its connection and what was on it */
        delivery_forget(&host->delivery, &seat->core);
        delivery_leave(&host->delivery, &seat->core, group_host_now(host), 0);
    }
    if (!seat)
        seat = add_seat(host, name);
    if (!seat)
        return err_set(err, -ENOMEM, "no memory for the member");
    seat->connected = true;
    seat->follow = follow;
    seat->contents = false;
    seat->closed = 0;
    seat->core.window = window;
    host->connected++;
    if (!follow) /* its history ends here: what is read from now on comes to that end */
        group_host_close_pump(host);
    *out = seat;
    return 0;
}

void group_host_show_contents(struct group_seat *seat)
{
    seat->contents = true;
    if (!seat->host->contents) /* it is opened again where it was */
        group_host_close_pump(seat->host);
}

void group_host_leave(struct group_seat *seat, uint64_t grace_ms)
{
    struct group_host *host = seat->host;
    delivery_leave(&host->delivery, &seat->core, group_host_now(host), grace_ms);
    seat->connected = false;
    seat->frame = NULL;
    seat->look = NULL;
    seat->yield = NULL;
    host->connected--;
    group_host_settle(host);
}

void group_host_willing(struct group_seat *seat, bool willing)
{
    bool was = seat->core.willing;
    willing = willing && !seat->closed;
    delivery_willing(&seat->host->delivery, &seat->core, willing);
    if (willing && !was)
        group_host_settle(seat->host);
}

void group_host_free_seats(struct group_host *host)
{
    while (host->seats)
        remove_seat(host->seats);
}
