/*
 * Any text as a duration and a moment; what is understood is printed and understood alike.
 */
#include <stdlib.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

#define NOW UINT64_C(1785966646158)
#define YEAR_10000 UINT64_C(253402300800000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    uint64_t ms;
    uint64_t again;
    char printed[TIME_TEXT_MAX];
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 0);
    if (time_parse_duration(text, &ms, NULL) == 0) {
        demand(time_parse_moment(text, NOW, &again, NULL) == 0);
        demand(again == (ms < NOW ? NOW - ms : 0));
    }
    if (time_parse_moment(text, NOW, &ms, NULL) < 0)
        return 0;
    time_format(printed, ms);
    demand(strlen(printed) < sizeof(printed));
    if (ms < YEAR_10000)
        demand(time_parse_moment(span_str(printed), NOW, &again, NULL) == 0 && again == ms);
    return 0;
}
