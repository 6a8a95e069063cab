#!/bin/sh
# Makes the repository with the first pages and tickets: init.sh APP DATA
set -eu
repository=$2/tickets.fossil
export HOME="$2" USER=admin
fossil init --admin-user admin --project-name "Sakura Clinics: tickets and house rules" "$repository" >/dev/null
# Whoever the tiers let through is "nobody" to Fossil: may read and write pages and tickets, and change no setting.
fossil user capabilities nobody cjknorw -R "$repository" --user admin >/dev/null
fossil wiki create "Opening hours" "$1/pages/opening-hours.md" -M markdown -R "$repository" >/dev/null
fossil wiki create "When the line is down" "$1/pages/line-down.md" -M markdown -R "$repository" >/dev/null
fossil wiki create "Sakura Clinics: tickets and house rules" "$1/pages/home.md" -M markdown -R "$repository" >/dev/null
fossil ticket add -q -R "$repository" --user admin \
  title "Osaka: the printer at the reception prints grey" status Open type Code_Defect severity Minor >/dev/null
fossil ticket add -q -R "$repository" --user admin \
  title "Tokyo: second chair in room 3 is ordered" status Open type Feature_Request severity Minor >/dev/null
