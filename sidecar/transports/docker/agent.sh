# The agent for containers without Python: POSIX sh with GNU tools or busybox. The protocol is described in wire.py.
#
# It arrives on standard input, in the variable `c` of a small starter, and runs itself again under xargs for each
# group of names ("$@" is then the group), because only xargs can turn NUL-ended bytes into arguments. Names live in
# arguments and numbered variables; `eval` sees the variables' names alone. The host writes every path as ./a/b, so
# that no name looks like an option. Exported variables below are what the second run inherits.

LC_ALL=C
export LC_ALL t base fmt st words clock gnu
unset CDPATH TAR_OPTIONS QUOTING_STYLE POSIXLY_CORRECT
set -f
nl='
'

rec() { printf '%s %s\n' "$t" "$1"; }

# walk ./a/b: 1 when a folder on the way is gone, 2 when it may not be entered, 3 when it is a link, else 0
walk() {
  [ "x$1" = "x$walked" ] && return "$walkrc"
  walked=$1 walkrc=0 here=. rest=${1#./}
  [ "$1" = . ] && return 0
  while :; do
    here=$here/${rest%%/*}
    if [ -h "$here" ]; then walkrc=3
    elif [ ! -d "$here" ]; then walkrc=1
    elif [ ! -x "$here" ]; then walkrc=2
    fi
    [ $walkrc = 0 ] || return $walkrc
    case $rest in */*) rest=${rest#*/} ;; *) return 0 ;; esac
  done
}

# enter ./a/b: be in that folder, with walk's answers. After cd -P, $PWD tells whether a link was followed, and from
# then on the folder is held by the process: exchanging it for a link no longer leads anywhere.
enter() {
  [ "x$1" = "x$in" ] && return "$inrc"
  in=$1 inrc=2 aim=$base
  [ "$1" = . ] || aim=$base/${1#./}
  if cd -P -- "${aim:-/}" 2>/dev/null; then
    inrc=3
    [ "$PWD" = "${aim:-/}" ] && inrc=0
  elif cd -P -- "${base:-/}" 2>/dev/null; then
    walked=
    walk "$1"
    inrc=$?
    [ $inrc = 0 ] && inrc=2
  fi
  return $inrc
}

why() {
  case $1 in
    1) echo vanished ;;
    2) echo permission_denied ;;
    *) echo folder_is_a_link ;;
  esac
}

# ---- second run: stat, tar

child_stat() {
  list= n=0
  for p; do
    walk "${p%/*}"
    case $? in
      0) [ -e "$p" ] || [ -h "$p" ] || continue
         n=$((n + 1)); eval "v$n=\$p"; list="$list \"\$v$n\"" ;;
      1) ;;
      *) rec "problem $(why $walkrc) $p" ;;
    esac
  done
  [ $n = 0 ] || eval "stat -c \"\$t \$fmt\" --$list" 2>/dev/null
}

# Records of this verb go to standard error: standard output is the archive.
child_tar() {
  list= ks= n=0
  for p; do
    bad=
    walk "${p%/*}" || bad=$(why $walkrc)
    if [ "$bad" ]; then :
    elif [ -h "$p" ]; then bad=not_a_regular_file
    elif [ ! -e "$p" ]; then bad=vanished
    elif [ ! -f "$p" ]; then bad=not_a_regular_file
    elif [ ! -r "$p" ]; then bad=permission_denied
    fi
    if [ "$bad" ]; then rec "problem $bad $p" >&2; continue; fi
    n=$((n + 1)); eval "v$n=\$p"; list="$list \"\$v$n\""; ks="$ks $n"
  done
  [ $n = 0 ] && return
  before=$(eval "stat -c \"%h \$st\" --$list" 2>/dev/null)
  told=
  if [ "$gnu" ]; then
    # what changed we see ourselves; a new ctime alone is no harm
    gnu="tar --hard-dereference --format=gnu --no-recursion --no-unquote --warning=no-file-changed"
    errors=$(eval "$gnu -cf - --$list" 2>&1 1>&3) || tell $?
  else
    tar_one_named
  fi
  after=$(eval "stat -c \"%h \$st\" --$list" 2>/dev/null)
  found=0
  [ "$told" ] && report_torn
  [ "$before" = "$after" ] || report_changes
  if [ "$told" ] && unexplained; then rec "note $told" >&2; fi
}

# tell STATUS: keep what a failed tar said. GNU tar ends with 1 in silence for the warning that was turned off.
tell() {
  [ "$1" = 1 ] && [ "$gnu" ] && [ -z "$errors" ] && return
  told=$told${told:+$nl}${errors:-tar ended with status $1}
}

# blame REASON: of the file $p
blame() {
  found=$((found + 1))
  rec "problem $1 $p" >&2
}

# tar pads what it could not read with zeros, or stops, and names the file in its own way: read them all once more.
report_torn() {
  for k in $ks; do
    eval "p=\$v$k"
    is=$(cat -- "$p" 2>/dev/null | wc -c) should=$(stat -c %s -- "$p" 2>/dev/null)
    [ "$((is))" = "$should" ] || blame ended_before_its_size
  done
}

# Whether tar said more than was found: then any file of this step may be the one, and the host keeps none.
unexplained() {
  IFS=$nl
  for line in $told; do
    case $line in *': Exiting with failure status'*) ;; *) found=$((found - 1)) ;; esac
  done
  unset IFS
  [ $found -lt 0 ]
}

# busybox tar writes later names of a hardlinked file as links: such files get an archive each.
tar_one_named() {
  once= k=0
  set -- $before
  if [ $# = $((n * (words + 1))) ]; then
    for k in $ks; do
      if [ "$1" = 1 ]; then once="$once \"\$v$k\""
      else errors=$(eval "tar -cf - -- \"\$v$k\"" 2>&1 1>&3) || tell $?
      fi
      shift $((words + 1))
    done
  else
    for k in $ks; do errors=$(eval "tar -cf - -- \"\$v$k\"" 2>&1 1>&3) || tell $?; done
  fi
  [ "$once" ] || return
  errors=$(eval "tar -cf - --$once" 2>&1 1>&3) || tell $?
}

report_changes() {
  if [ "$(echo $before | wc -w)" != "$(echo $after | wc -w)" ]; then
    for k in $ks; do
      eval "p=\$v$k"
      [ -f "$p" ] || blame vanished
    done
    return
  fi
  for k in $ks; do
    eval "p=\$v$k"
    x= y= i=0
    while [ $i -le "$words" ]; do
      x="$x ${before%%[ $nl]*}" y="$y ${after%%[ $nl]*}" before=${before#*[ $nl]} after=${after#*[ $nl]} i=$((i + 1))
    done
    [ "$x" = "$y" ] || blame changed_while_read
  done
}

# ---- second run: purge

say() { eval "rec \"r \$i$1 \$2\""; }

# same K SIZE SECONDS [...]: whether file K still looks as wanted; the words are those of stat's format $st
same() {
  eval "size=\$s$1 mtime=\$m$1 exact=\$e$1"
  [ "${2-}" = "$size" ] || return 1
  case $clock in
    dot) sec=${3%.*} part=${3#*.} ;;
    text) sec=$3 part=${5#*.} ;;
    *) sec=$3 part= ;;
  esac
  if [ "$exact$part" != "1" ] && [ "$exact" = 1 ]; then [ "$sec$part" = "$mtime" ]; return; fi
  [ "$sec" = "${mtime%?????????}" ]
}

# pick KS PREFIX: sort file numbers into $good and $odd by what stat says of ./$PREFIXk
pick() {
  ks=$1 pre=$2 good= odd= list= n=0
  for k in $ks; do list="$list \"./\$$pre$k\""; n=$((n + 1)); done
  set --
  [ $n = 0 ] || set -- $(eval "stat -c \"\$st\" --$list" 2>/dev/null)
  if [ $# = $((n * words)) ]; then
    for k in $ks; do
      if same $k "$1" "$2" "${3-}" "${4-}"; then good="$good $k"; else odd="$odd $k"; fi
      shift $words
    done
    return
  fi
  for k in $ks; do # one of them vanished: ask one by one
    eval "one=\$$pre$k"
    set -- $(stat -c "$st" -- "./$one" 2>/dev/null)
    if [ $# = $words ] && same $k "$@"; then good="$good $k"; else odd="$odd $k"; fi
  done
}

# hashed KS: sort file numbers into $good and $odd by the SHA-256 of ./$pK
hashed() {
  ks=$1 good= odd= list= n=0 ticker=
  for k in $ks; do list="$list \"./\$p$k\""; n=$((n + 1)); done
  [ $n = 0 ] || [ $big -lt 16777216 ] || { tick & ticker=$!; }
  set --
  [ $n = 0 ] || set -- $(eval "sha256sum --$list" 2>/dev/null)
  whole=$(($# == n * 2))
  for k in $ks; do
    eval "sum=\$h$k one=\$p$k"
    if [ $whole = 0 ]; then set -- $(sha256sum -- "./$one" 2>/dev/null) -; fi
    if [ "$1" = "$sum" ]; then good="$good $k"; else odd="$odd $k"; fi
    [ $whole = 0 ] || shift 2
  done
  [ -z "$ticker" ] || { kill $ticker; wait $ticker; } 2>/dev/null
}

# Tell every other second that hashing goes on, for as long as a very slow disk (1 MB/s) may take. Nothing else is
# written meanwhile. The sleeper must not hold what the host reads to its end.
tick() {
  left=$((big / 2000000 + 30))
  while [ $left -gt 0 ] && sleep 2 >/dev/null 2>&1 3>&- 4>&-; do rec tick; left=$((left - 1)); done
}

# back NAME PRIVATE: give a file its own name again, never replacing; 1 when the name is taken
back() {
  if [ -e "./$1" ] || [ -h "./$1" ]; then
    [ ! -h "./$1" ] && [ "./$1" -ef "./$2" ] && rm -f -- "./$2" && return 0 # died between ln and rm
    return 1
  fi
  if ln -- "./$2" "./$1" 2>/dev/null; then # link(2) never replaces
    [ ! -h "./$1" ] && [ "./$1" -ef "./$2" ] && rm -f -- "./$2" && return 0
    return 1
  fi
  mv -n -- "./$2" "./$1" 2>/dev/null # no hard links on this file system, or not for this user
  [ ! -e "./$2" ] && [ -f "./$1" ]
}

# undo KS OUTCOME: move files back and say so
undo() {
  for k in $1; do
    eval "name=\$f$k one=\$p$k"
    if back "$name" "$one"; then say $k "$2"; else say $k "stranded its name was taken meanwhile"; fi
  done
}

# Handle the held files, all of the folder that we are in. Few processes: one mv each, the rest for all together.
flush() {
  [ $held = 0 ] && return
  ks= k=0
  while [ $k -lt $held ]; do
    eval "name=\$f$k"
    if [ -h "./$name" ]; then say $k "changed not a regular file"
    elif [ ! -e "./$name" ]; then say $k gone
    elif [ ! -f "./$name" ]; then say $k "changed not a regular file"
    elif [ ! -r "./$name" ] || [ ! -w . ]; then say $k "denied permission_denied"
    else ks="$ks $k"
    fi
    k=$((k + 1))
  done
  big=$total held=0 total=0
  pick "$ks" f
  for k in $odd; do say $k "changed size or mtime"; done
  moved=
  for k in $good; do move_away $k; done
  hashed "$moved"
  undo "$odd" "changed SHA-256"
  pick "$good" p # after hashing, so that a write meanwhile shows
  undo "$odd" "changed written to while it was hashed"
  list=
  for k in $good; do list="$list \"./\$p$k\""; done
  [ -z "$list" ] || eval "rm -f --$list" 2>/dev/null
  left=
  for k in $good; do
    eval "one=\$p$k"
    if [ -e "./$one" ]; then left="$left $k"; else say $k purged; fi
  done
  undo "$left" "denied permission_denied"
}

# The private name is random, so looking first is enough; what mv did is judged by what is there afterwards, because
# mv -n is silent about files that it skips.
move_away() {
  eval "name=\$f$1 one=\$p$1"
  if [ -e "./$one" ] || [ -h "./$one" ]; then say $1 "failed private name exists"; return; fi
  mv -n -- "./$name" "./$one" 2>/dev/null
  if [ -f "./$one" ] && [ ! -h "./$one" ]; then moved="$moved $1"
  elif [ -e "./$one" ] || [ -h "./$one" ]; then undo "$1" "changed not a regular file"
  elif [ -e "./$name" ] || [ -h "./$name" ]; then say $1 "denied could not be moved"
  else say $1 gone
  fi
}

child_purge() { # groups of PATH SIZE MTIME EXACT SHA PRIVATE INDEX
  held=0 total=0
  while [ $# -ge 7 ]; do
    if [ "x${1%/*}" != "x$in" ] || [ $held -ge 64 ] || [ $total -gt 67108864 ]; then
      flush
      enter "${1%/*}"
    fi
    case $inrc in
      0) eval "f$held=\${1##*/} s$held=\$2 m$held=\$3 e$held=\$4 h$held=\$5 p$held=\$6 i$held=\$7"
         held=$((held + 1)) total=$((total + $2)) ;;
      1) rec "r $7 gone" ;;
      2) rec "r $7 denied permission_denied" ;;
      *) rec "r $7 failed folder_is_a_link" ;;
    esac
    shift 7
  done
  flush
}

child_settle() { # groups of PATH PRIVATE INDEX
  while [ $# -ge 3 ]; do
    enter "${1%/*}"
    case $inrc in
      0) if [ -h "./$2" ]; then rec "r $3 stranded not a regular file"
         elif [ ! -e "./$2" ]; then rec "r $3 absent"
         elif [ ! -f "./$2" ]; then rec "r $3 stranded not a regular file"
         elif back "${1##*/}" "$2"; then rec "r $3 restored"
         else rec "r $3 stranded its name was taken meanwhile"
         fi ;;
      1) rec "r $3 absent" ;;
      *) rec "r $3 stranded $(why $inrc)" ;;
    esac
    shift 3
  done
}

child_rmdir() { # groups of FOLDER INDEX
  while [ $# -ge 2 ]; do
    said=kept
    if [ "$1" != . ] && enter "${1%/*}" && rmdir -- "./${1##*/}" 2>/dev/null; then said=removed; fi
    rec "r $2 $said"
    shift 2
  done
}

child_unreadable() {
  for p; do
    if [ ! -r "$p" ] || [ ! -x "$p" ]; then
      rec "problem permission_denied $p" >&3
      echo 1
    fi
  done
}

# ---- first run

# take LEN: that much of standard input, and the padding behind it. dd never reads ahead; the cat keeps us in step
# when a reader ends early.
take() {
  [ "$1" -gt 0 ] || return 0
  blocks=$((($1 + 511) / 512))
  if [ "$full" ]; then dd bs=512 count=$blocks iflag=fullblock 2>/dev/null
  else dd bs=1 count=$((blocks * 512)) 2>/dev/null
  fi | { head -c "$1"; cat >/dev/null; }
}

need() {
  for tool; do
    command -v "$tool" >/dev/null 2>&1 && continue
    rec "missing $tool"
    return 1
  done
}

# each CHILD: run ourselves over the fields, STEP arguments at a time
each() {
  [ "$len" -gt 0 ] || return 0
  taken=1
  take "$len" | xargs -0 -n "$step" -s 65536 sh -c "$c" sh "$1" || rec "note $verb: a step ended with status $?" >&4
}

now() {
  n=$(date +%s%N 2>/dev/null)
  case $n in *[!0-9]* | '') n=$(date +%s) ;; esac
  [ ${#n} -gt 15 ] || n=${n}000000000
  echo "$n"
}

scan() {
  need find stat id date xargs || return
  gids=
  for g in $(id -G); do gids=${gids:+$gids,}$g; done
  rec "hello $(id -u) $(now) $(stat -c '%u %g' .) $gids"
  errors=$(find . -exec stat -c "$t $fmt" {} + 2>&1 1>&3)
  status=$?
  if [ "$errors" ]; then explain "$errors"
  elif [ $status != 0 ]; then rec "note find ended with status $status"
  fi
}

# The tools' messages quote names each in its own way, so folders without permission are looked for by themselves.
explain() {
  denied= told=0
  IFS=$nl
  for line in $1; do
    case $line in
      *': No such file or directory') ;;
      *': Permission denied') denied=1 ;;
      *) told=$((told + 1)); [ $told -gt 100 ] || rec "note $line" ;;
    esac
  done
  unset IFS
  [ "$denied" ] || return
  found=$(find . -type d -print0 2>/dev/null | xargs -0 -s 65536 sh -c "$c" sh unreadable)
  [ "$found" ] || rec "note permission denied"
}

run_tar() { need xargs stat tar wc >&2 && each tar; }

purge() {
  need xargs stat mv ln rm sha256sum || return
  case $(mv -n "./$t" "./$t.no" 2>&1) in
    *nvalid\ option* | *nrecognized* | *llegal* | *sage:*) rec "missing mv_-n" ;;
    *) each purge ;;
  esac
}

answer() {
  cd -P -- "$root/." 2>/dev/null && base=${PWD%/} && return
  no=missing
  if [ -d "$root" ]; then no=permission_denied; elif [ -e "$root" ]; then no=not_a_directory; fi
  rec "noroot $no"
  return 1
}

probe() {
  dd bs=1 count=0 iflag=fullblock </dev/null >/dev/null 2>&1 && full=1
  # Whole record formats of stat. GNU prints nanoseconds by %.9Y, newer busybox in the text of %y.
  case $(stat -c %.9Y / 2>/dev/null) in
    *.?????????) clock=dot fmt='e %f %s %.9Y %d %i %u %g %h %n' st='%s %.9Y' ;;
    *) case $(stat -c %y /proc/self 2>/dev/null) in
         *.000000000* | '') clock=none fmt='e %f %s %Y %d %i %u %g %h %n' st='%s %Y' ;;
         *.?????????*) clock=text fmt='t %f %s %Y %d %i %u %g %h %y %n' st='%s %Y %y' ;;
         *) clock=none fmt='e %f %s %Y %d %i %u %g %h %n' st='%s %Y' ;;
       esac ;;
  esac
  set -- $(stat -c "$st" / 2>/dev/null)
  words=$#
  case $(tar --version 2>/dev/null) in *GNU*) gnu=1 ;; esac
}

main() {
  full= gnu=
  for t in dd head cat printf read; do command -v $t >/dev/null 2>&1 || absent=$t; done
  [ "${absent-}" ] || probe
  while read -r verb t rlen len step; do
    [ "$verb" = quit ] && exit 0
    out=1
    [ "$verb" = tar ] && out=2
    printf '\n' >&$out
    if [ "${absent-}" ]; then # without these the rest of the request cannot even be read
      { rec "missing $absent"; rec "end -"; } >&$out
      exit 0
    fi
    root=$(take "$rlen"; printf x)
    root=${root%x} taken=
    exec 4>&$out
    if answer >&4; then
      case $verb in
        scan) scan ;;
        stat) need xargs stat && each stat ;;
        tar) run_tar ;;
        purge) purge ;;
        settle) need xargs mv ln rm && each settle ;;
        rmdir) need xargs rmdir && each rmdir ;;
      esac
    fi
    [ "$taken" ] || take "$len" >/dev/null
    cd /
    rec "end -" >&4
  done
}

in= walked= walkrc=0 inrc=0
case $# in
  0) exec 3>&1; main ;;
  *) verb=$1
     shift
     child_$verb "$@"
     exit 0 ;; # xargs stops at some statuses; what failed is in the records
esac
