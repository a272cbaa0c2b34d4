#!/usr/bin/env bats
# Help, usage faults, completion: everything made from the option tables.

load setup

verbs() {
    weir --help | sed -n '2,$s/^  .\{9\} \([a-z][a-z0-9-]*\) .*/\1/p'
}

@test "--help fits a screen and lists every verb" {
    run -0 weir --help
    [ "${#lines[@]}" -le 42 ]
    for line in "${lines[@]}"; do
        [ "${#line}" -le 80 ]
    done
    [ "$(verbs | wc -l)" -ge 17 ]
}

@test "every verb explains itself, by --help, -h and help VERB" {
    for verb in $(verbs); do
        run -0 weir "$verb" --help
        [[ ${lines[0]} == "usage: weir $verb"* ]]
        same=$output
        run -0 weir "$verb" -h
        [ "$output" = "$same" ]
        run -0 weir help "$verb"
        [ "$output" = "$same" ]
    done
}

@test "help texts keep to a terminal's width" {
    for verb in $(verbs); do
        long=$(weir "$verb" --help | awk 'length > 100')
        [ -z "$long" ]
    done
}

@test "--version" {
    run -0 weir --version
    [[ $output =~ ^weir\ [0-9]+\.[0-9]+\.[0-9]+ ]]
}

@test "no verb: usage on stderr, exit 2" {
    fails 2 "usage: weir" weir
}

@test "a mistyped verb gets a suggestion" {
    fails 2 "did you mean \`append'?" weir appned
    fails 2 "did you mean \`cat'?" weir cta
    fails 2 "unknown verb \`frobnicate'" weir frobnicate
    lacks 'did you mean' "$err"
}

@test "a mistyped option gets a suggestion and the usage line" {
    fails 2 "did you mean \`--follow'?" weir cat --folow
    grep -q '^usage: weir cat' "$err"
    fails 2 "unknown option \`--zzz'" weir cat --zzz
    fails 2 "unknown option \`-Z'" weir cat -Z
}

@test "options that lack or forbid a value" {
    fails 2 "--limit needs a value: N" weir cat --limit
    fails 2 "-T needs a value" weir cat -T
    fails 2 "--follow takes no value" weir cat --follow=yes
    fails 2 "is not a number" weir cat --limit=x ./none
    fails 2 "is not a number" weir cat --limit -1 ./none
}

@test "operands missing and too many" {
    fails 2 "usage: weir append" weir append
    fails 2 "usage: weir get" weir get ./x
    fails 2 "one operand too many" weir get ./x a b
    fails 2 "one operand too many" weir cas ./x a b
    fails 2 "name one shell" weir completion
}

@test "help into a full disk is a failure" {
    [ -c /dev/full ] || skip "no /dev/full"
    run ! bash -c 'weir --help >/dev/full'
}

@test "a closed stdout is a failure, and its number is not given to another file" {
    start
    run ! bash -c 'exec >&-; weir scru128'
    run ! bash -c "exec >&-; weir append '$store' t --content x"
    run ! bash -c "exec >&-; weir cat '$store' --count"
    # Without stdin there is no content to read, which must not be taken for an empty one.
    before=$(weir cat "$store" --count)
    run ! bash -c "exec <&-; weir append '$store' t"
    [ "$(weir cat "$store" --count)" = "$before" ]
}

@test "completion for bash completes verbs and options" {
    weir completion bash >comp
    bash -n comp
    run -0 bash -c 'source ./comp; COMP_WORDS=(weir ap); COMP_CWORD=1; _weir; echo "${COMPREPLY[*]}"'
    [ "$output" = append ]
    run -0 bash -c 'source ./comp; COMP_WORDS=(weir cat --rev); COMP_CWORD=2; _weir; echo "${COMPREPLY[*]}"'
    [ "$output" = --reverse ]
    run -0 bash -c 'source ./comp; COMP_WORDS=(weir export --format x); COMP_CWORD=3; _weir; echo "${COMPREPLY[*]}"'
    [ "$output" = xs ]
    run -0 bash -c 'source ./comp; COMP_WORDS=(weir scru128 un); COMP_CWORD=2; _weir; echo "${COMPREPLY[*]}"'
    [ "$output" = unpack ]
}

@test "completion names every option of every verb, for each shell" {
    for shell in bash zsh fish; do
        weir completion "$shell" >comp
        for verb in $(verbs); do
            grep -qw -- "$verb" comp
        done
        for option in expect-seq with-timestamp idle-exit allow-missing; do
            grep -q -- "$option" comp
        done
    done
    if command -v zsh; then
        mkdir zsh && weir completion zsh >zsh/_weir && zsh -n zsh/_weir
        [ "$(zsh -fc "fpath=($dir/zsh \$fpath); autoload -U compinit; compinit -u -D; echo \$_comps[weir]")" = _weir ]
        [ "$(zsh -fc 'autoload -U compinit; compinit -u -D; source ./zsh/_weir; echo $_comps[weir]' 2>&1)" = _weir ]
    fi
    if command -v fish; then weir completion fish >comp && fish -n comp; fi
    fails 2 "none of bash, zsh, fish" weir completion tcsh
}

@test "the manual page knows every verb and every option" {
    page=$here/../../man/weir.1
    for verb in $(verbs); do
        sed -n "/^\.Ss $verb\b/,/^\.S[sh] /p" "$page" | grep -q . || { echo "no section: $verb"; return 1; }
        for option in $(weir "$verb" --help | sed -n 's/^ \{2\}\(-., \)\? *--\([a-z-]*\).*/\2/p' | grep -vx help); do
            grep -qE -- "Fl (. , )?-$option\b" "$page" || { echo "not said: $verb --$option"; return 1; }
        done
    done
}
