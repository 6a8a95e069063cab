# bash completion for hasp. Made by `hasp help-dump bash`: do not edit.
_hasp() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path= word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case "${path:+$path }$word" in
        'init'|'serve'|'relay'|'status'|'sync'|'doctor'|'names'|'push-app'|'restore'|'sync versions'|'sync restore'|'sync quarantine'|'backup'|'backup list'|'backup check'|'backup prune'|'backup keys'|'local'|'local invite'|'local list'|'local show'|'local revoke'|'local allow'|'peer'|'peer export'|'peer add'|'peer list'|'peer remove'|'app'|'app add'|'app list'|'app remove'|'app releases'|'app rollback'|'app allow'|'app key'|'user'|'user add'|'user list'|'user show'|'user password'|'user groups'|'user entitle'|'user withdraw'|'user disable'|'user enable'|'user remove'|'token'|'token create'|'token list'|'token revoke'|'lease'|'lease show'|'lease extend'|'lease sign'|'ca'|'ca show'|'ca export'|'ca renew'|'why'|'offline-report'|'reload'|'restart'|'bill'|'bill tariff'|'bill tariff set'|'bill tariff check'|'bill tariff show'|'bill close'|'bill show'|'bill verify'|'config'|'config check') path=${path:+$path }$word ;;
        esac
    done
    COMPREPLY=()
    case "$path:$previous" in
    *:--state) COMPREPLY=($(compgen -d -- "$current")); return ;;
    'init:--realm') return ;;
    'init:--name') return ;;
    'init:--operator') return ;;
    'init:--password-file') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'init:--listen') return ;;
    'init:--link-listen') return ;;
    'init:--link-address') return ;;
    'serve:--config') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'relay:--config') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'relay:--join') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'sync:--user') return ;;
    'sync:--app') return ;;
    'doctor:--ca') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'doctor:--timeout') return ;;
    'names:--for') COMPREPLY=($(compgen -W 'dnsmasq unbound bind windows' -- "$current")); return ;;
    'names:--address') return ;;
    'names:--zone') return ;;
    'names:--ttl') return ;;
    'push-app:--rev') return ;;
    'push-app:--to') return ;;
    'push-app:--home') return ;;
    'push-app:--key') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'push-app:--center') return ;;
    'push-app:--timeout') return ;;
    'restore:--at') return ;;
    'restore:--keys') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'restore:--passphrase-file') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'sync restore:--time') return ;;
    'sync restore:--revision') return ;;
    'sync quarantine:--release') return ;;
    'sync quarantine:--delete') return ;;
    'backup prune:--keep') return ;;
    'backup prune:--days') return ;;
    'backup keys:--passphrase-file') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'local invite:--address') return ;;
    'local invite:--hours') return ;;
    'local allow:--group') return ;;
    'peer export:--address') return ;;
    'peer add:--from') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'peer add:--use') return ;;
    'peer add:--offer') return ;;
    'app add:--to') return ;;
    'app add:--home') return ;;
    'app remove:--from') return ;;
    'app releases:--center') return ;;
    'app rollback:--release') return ;;
    'app rollback:--timeout') return ;;
    'app allow:--key') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'user add:--password-file') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'user add:--name') return ;;
    'user add:--email') return ;;
    'user add:--group') return ;;
    'user password:--password-file') COMPREPLY=($(compgen -f -- "$current")); return ;;
    'user groups:--join') return ;;
    'user groups:--leave') return ;;
    'user entitle:--group') return ;;
    'user withdraw:--group') return ;;
    'token create:--app') return ;;
    'token create:--push') return ;;
    'token create:--label') return ;;
    'token create:--expires') return ;;
    'lease extend:--days') return ;;
    'lease extend:--app') return ;;
    'lease extend:--user') return ;;
    'why:--at') return ;;
    'why:--user') return ;;
    'bill show:--user') return ;;
    'bill show:--explain') return ;;
    esac
    local words= files=
    case "$path" in
    '') words='init serve relay status sync doctor names push-app restore backup local peer app user token lease ca why offline-report reload restart bill config --state --json --quiet --help' ;;
    'init') words='--realm --name --operator --password-file --listen --link-listen --link-address --state --json --quiet --help' ;;
    'serve') words='--config --state --json --quiet --help' ;;
    'relay') words='--config --join --only-join --state --json --quiet --help' ;;
    'status') words='--state --json --quiet --help' ;;
    'sync') words='versions restore quarantine --user --app --wait --list --release-deletions --begin-anew --discard --state --json --quiet --help' ;;
    'doctor') words='--as-client --ca --timeout --state --json --quiet --help' ;;
    'names') words='--for --address --wildcard --zone --ttl --state --json --quiet --help' ;;
    'push-app') words='--rev --to --all --home --key --center --dry-run --wait --timeout --state --json --quiet --help' files=1 ;;
    'restore') words='--at --keys --passphrase-file --state --json --quiet --help' files=1 ;;
    'sync versions') words='--removed --state --json --quiet --help' files=1 ;;
    'sync restore') words='--time --revision --dry-run --state --json --quiet --help' files=1 ;;
    'sync quarantine') words='--release --delete --state --json --quiet --help' ;;
    'backup') words='list check prune keys --state --json --quiet --help' files=1 ;;
    'backup list') words='--state --json --quiet --help' files=1 ;;
    'backup check') words='--set-aside --state --json --quiet --help' files=1 ;;
    'backup prune') words='--keep --days --state --json --quiet --help' files=1 ;;
    'backup keys') words='--passphrase-file --state --json --quiet --help' files=1 ;;
    'local') words='invite list show revoke allow --state --json --quiet --help' ;;
    'local invite') words='--address --hours --state --json --quiet --help' ;;
    'local list') words='--state --json --quiet --help' ;;
    'local show') words='--state --json --quiet --help' ;;
    'local revoke') words='--state --json --quiet --help' ;;
    'local allow') words='--group --remove --state --json --quiet --help' ;;
    'peer') words='export add list remove --state --json --quiet --help' ;;
    'peer export') words='--address --state --json --quiet --help' ;;
    'peer add') words='--from --use --offer --state --json --quiet --help' ;;
    'peer list') words='--state --json --quiet --help' ;;
    'peer remove') words='--state --json --quiet --help' ;;
    'app') words='add list remove releases rollback allow key --state --json --quiet --help' ;;
    'app add') words='--to --home --state --json --quiet --help' files=1 ;;
    'app list') words='--state --json --quiet --help' ;;
    'app remove') words='--from --state --json --quiet --help' ;;
    'app releases') words='--center --state --json --quiet --help' ;;
    'app rollback') words='--release --wait --timeout --state --json --quiet --help' ;;
    'app allow') words='--key --remove --state --json --quiet --help' ;;
    'app key') words='--state --json --quiet --help' files=1 ;;
    'user') words='add list show password groups entitle withdraw disable enable remove --state --json --quiet --help' ;;
    'user add') words='--password-file --name --email --group --operator --state --json --quiet --help' ;;
    'user list') words='--state --json --quiet --help' ;;
    'user show') words='--state --json --quiet --help' ;;
    'user password') words='--password-file --state --json --quiet --help' ;;
    'user groups') words='--join --leave --state --json --quiet --help' ;;
    'user entitle') words='--group --state --json --quiet --help' ;;
    'user withdraw') words='--group --state --json --quiet --help' ;;
    'user disable') words='--state --json --quiet --help' ;;
    'user enable') words='--state --json --quiet --help' ;;
    'user remove') words='--state --json --quiet --help' ;;
    'token') words='create list revoke --state --json --quiet --help' ;;
    'token create') words='--app --push --operator --label --expires --state --json --quiet --help' ;;
    'token list') words='--state --json --quiet --help' ;;
    'token revoke') words='--state --json --quiet --help' ;;
    'lease') words='show extend sign --state --json --quiet --help' ;;
    'lease show') words='--state --json --quiet --help' ;;
    'lease extend') words='--days --app --user --dry-run --state --json --quiet --help' ;;
    'lease sign') words='--state --json --quiet --help' ;;
    'ca') words='show export renew --state --json --quiet --help' ;;
    'ca show') words='--state --json --quiet --help' ;;
    'ca export') words='--next --state --json --quiet --help' ;;
    'ca renew') words='--use --state --json --quiet --help' ;;
    'why') words='--at --user --state --json --quiet --help' ;;
    'offline-report') words='--state --json --quiet --help' ;;
    'reload') words='--state --json --quiet --help' ;;
    'restart') words='--state --json --quiet --help' ;;
    'bill') words='tariff close show verify --state --json --quiet --help' ;;
    'bill tariff') words='set check show --state --json --quiet --help' ;;
    'bill tariff set') words='--dry-run --state --json --quiet --help' files=1 ;;
    'bill tariff check') words='--state --json --quiet --help' files=1 ;;
    'bill tariff show') words='--state --json --quiet --help' ;;
    'bill close') words='--partial --dry-run --state --json --quiet --help' ;;
    'bill show') words='--user --explain --csv --state --json --quiet --help' ;;
    'bill verify') words='--state --json --quiet --help' ;;
    'config') words='check --state --json --quiet --help' ;;
    'config check') words='--state --json --quiet --help' files=1 ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files && $current != -* ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _hasp hasp
