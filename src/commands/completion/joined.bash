
# bash splits --option=value at the =, but the program expects one word. This joins the words for the
# program, and splits its answers again. bash inserts an answer as it is, so it must be quoted: a
# kubeconfig or a directory of somebody else can hold a name such as $(command).
_bypassctl_joined() {
    local words=() at cword=0 answer space globs=on
    for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
        if ((at > 1)) && [[ ${COMP_WORDS[at]} == = || ${COMP_WORDS[at - 1]} == = ]]; then
            words[${#words[@]} - 1]+=${COMP_WORDS[at]}
        else
            words+=("${COMP_WORDS[at]}")
        fi
        ((at != COMP_CWORD)) || cword=$((${#words[@]} - 1))
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword word=${words[cword]}
    # The script above splits the answers into words, which would expand a * in them.
    [[ $- != *f* ]] || globs=off
    set -f
    _clap_complete_bypassctl "$1" "$word" "$3"
    [[ $globs == off ]] || set +f
    [[ $word != --*=* ]] || COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
    for at in "${!COMPREPLY[@]}"; do
        answer=${COMPREPLY[at]} space=
        [[ $answer != *' ' ]] || answer=${answer% } space=' '
        [[ $answer =~ ^[A-Za-z0-9_./:@%+=,-]*$ ]] || printf -v answer %q "$answer"
        COMPREPLY[at]=$answer$space
    done
}
complete -o nospace -o bashdefault -o nosort -F _bypassctl_joined bypassctl 2>/dev/null ||
    complete -o nospace -o bashdefault -F _bypassctl_joined bypassctl # bash before 4.4
