/*
 * Any text as an id: what parses is printed again the same, in lower case.
 */
#include <stdlib.h>

#include <weir/id.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_id id;
    struct frame_id again;
    struct err err = ERR_INIT;
    char text[ID_TEXT_LEN + 1];
    if (id_parse(&id, span_of(data, size), &err) == 0) {
        id_format(text, id);
        for (size_t i = 0; i < ID_TEXT_LEN; i++)
            demand((text[i] | 0x20) == (data[i] | 0x20));
    } else {
        demand(err.code == ERR_INVALID && err.text[0] != '\0');
    }
    if (size >= ID_SIZE) {
        id = id_get(data);
        id_format(text, id);
        demand(id_parse(&again, span_of(text, ID_TEXT_LEN), NULL) == 0 && id_cmp(id, again) == 0);
        struct id_fields fields = id_unpack(id);
        demand(id_pack(&again, &fields, NULL) == 0 && id_cmp(id, again) == 0);
    }
    return 0;
}
