
# bash splits --option=value at the =, but the program expects one word. This joins the words for the
# program, and splits its answers again.
_bypassctl_joined() {
    local words=() at cword=0
    for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
        if ((at > 1)) && [[ ${COMP_WORDS[at]} == = || ${COMP_WORDS[at - 1]} == = ]]; then
            words[${#words[@]} - 1]+=${COMP_WORDS[at]}
        else
            words+=("${COMP_WORDS[at]}")
        fi
        ((at != COMP_CWORD)) || cword=$((${#words[@]} - 1))
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword word=${words[cword]}
    _clap_complete_bypassctl "$1" "$word" "$3"
    [[ $word != --*=* ]] || COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
}
complete -o nospace -o bashdefault -o nosort -F _bypassctl_joined bypassctl 2>/dev/null ||
    complete -o nospace -o bashdefault -F _bypassctl_joined bypassctl # bash before 4.4
