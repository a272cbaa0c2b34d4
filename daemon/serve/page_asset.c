/*
 * The live page's files, put into the program as they stand: page.html, page.css and page.js beside this file.
 */
#include "daemon/serve/page.h"

#define ASSET(name, file)                                                                          \
    extern const uint8_t page_##name##_begin[], page_##name##_end[];                               \
    __asm__(".section .rodata\n"                                                                   \
            ".global page_" #name "_begin\n.global page_" #name "_end\n"                           \
            "page_" #name "_begin:\n.incbin \"daemon/serve/" file "\"\npage_" #name "_end:\n"      \
            ".byte 0\n.previous\n")

ASSET(html, "page.html");
ASSET(css, "page.css");
ASSET(js, "page.js");

const struct page_asset *page_asset(struct span path)
{
    static const struct page_asset assets[] = {
        {"/", "text/html; charset=utf-8", page_html_begin, page_html_end},
        {"/_weir/page.css", "text/css; charset=utf-8", page_css_begin, page_css_end},
        {"/_weir/page.js", "text/javascript; charset=utf-8", page_js_begin, page_js_end}};
    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
        if (span_is(path, assets[i].path))
            return &assets[i];
    return NULL;
}
