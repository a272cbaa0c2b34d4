#include "bridge/io/redis_host.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID_LEN 12 /* of a container, and the digits of a network address */
#define CONTAINER "0::/docker/"

/* The last line of the process's groups names the container. */
static bool container(char id[static ID_LEN + 1])
{
    char line[4096];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, CONTAINER);
        found = at && strcspn(at + strlen(CONTAINER), "\n") >= ID_LEN;
        if (found)
            snprintf(id, ID_LEN + 1, "%s", at + strlen(CONTAINER));
    }
    if (file)
        fclose(file);
    return found;
}

static bool write_address(char id[static ID_LEN + 1], const struct sockaddr_ll *addr)
{
    const unsigned char *b = addr->sll_addr;
    if (addr->sll_halen != 6 || (b[0] | b[1] | b[2] | b[3] | b[4] | b[5]) == 0)
        return false;
    snprintf(id, ID_LEN + 1, "%02X%02X%02X%02X%02X%02X", b[0], b[1], b[2], b[3], b[4], b[5]);
    return true;
}

static bool network(char id[static ID_LEN + 1])
{
    struct ifaddrs *list = NULL;
    bool found = false;
    if (getifaddrs(&list) != 0)
        return false;
    for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_PACKET)
            found = write_address(id, (const struct sockaddr_ll *)(const void *)i->ifa_addr);
    }
    freeifaddrs(list);
    return found;
}

int redis_host(struct buf *out)
{
    char id[256] = "localhost";
    const char *given = getenv("HOST_ID");
    if (given)
        return buf_add_str(out, given);
    if (!container(id) && !network(id))
        (void)gethostname(id, sizeof(id) - 1);
    return buf_add_str(out, id);
}

int redis_group_name(struct buf *out, enum ss_mode mode)
{
    int rc = redis_host(out);
    return rc == 0 ? buf_add_str(out, mode == SS_RESUMABLE ? ":r" : ":s") : rc;
}

int redis_member_name(struct buf *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = redis_host(out);
    return rc == 0 ? buf_addf(out, ":%d:%d:%lld%09ld", (int)getpid(), (int)gettid(), (long long)now.tv_sec, now.tv_nsec) : rc;
}
