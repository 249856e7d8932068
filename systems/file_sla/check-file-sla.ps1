#requires -Version 5.1
<#
.SYNOPSIS
Finds the files that stayed in a folder longer than the folder's SLA, and posts them to the file_sla API.

.DESCRIPTION
The Windows variant of file-sla-collector, for Windows PowerShell 5.1 and PowerShell 7. It needs nothing installed.

Every report is stored in a spool folder before it is sent, and removed once the API has accepted it; what cannot be
sent now is sent by a later run, in order, under the same idempotency key.

The configuration is the collector's, written as JSON, because PowerShell does not read TOML; collector/README.md
describes its keys. The age of a file is counted from its creation time. A move within one volume keeps it; a copy
starts a new one.

Exit codes (when several apply, the first of 7, 3, 4, 6, 5):
  0  everything was sent, whether or not there were breaches
  1  an error that this script did not foresee
  2  the parameters or the configuration cannot be used
  3  could not sign in; the reports wait in the spool
  4  the API could not be reached; the reports wait in the spool
  5  a folder, or a part of one, could not be read
  6  a report was refused by the API, or a spool file was damaged; it was set aside
  7  a report could not be stored: the spool is full or cannot be written
  8  another collector is using the spool

-CredentialFile holds the username and the password. Without it, the username is taken from FILE_SLA_USERNAME or from
the configuration, the password from -PasswordFile, -PasswordStdin or FILE_SLA_PASSWORD. No parameter takes a password:
parameters can be seen by every user of the machine.

.PARAMETER Config
The folders, as JSON.

.PARAMETER Url
Base URL of the API, such as https://api.example.com/file_sla. It outranks the configuration's url.

.PARAMETER Once
One run, then exit. This is the default.

.PARAMETER Every
A run every so often, such as 60s or 5m, until the script is stopped.

.PARAMETER Spool
Where reports wait. The default is CONFIG-NAME.ps-spool beside the configuration. It cannot be shared with the spool
of the Python collector, whose files have another form.

.PARAMETER ReportAgain
Report an unchanged breach again only after this time, such as 1h. The default is 0s, which is at every run.

.PARAMETER CredentialFile
A credential of this user on this machine, written by Get-Credential | Export-Clixml FILE (encrypted by Windows).

.PARAMETER PasswordFile
A text file whose only content is the password.

.PARAMETER PasswordStdin
Read the password from standard input.

.PARAMETER Attempts
How often one request is tried, from 1 to 100.

.PARAMETER Timeout
Seconds for one request, from first to last byte.

.PARAMETER AllowHttp
Allow http to another machine; the password then travels in the clear.

.PARAMETER Json
Print one JSON object a run on standard output.

.EXAMPLE
.\check-file-sla.ps1 -Config C:\FileSla\folders.json -Url https://api.example.com/file_sla -CredentialFile C:\FileSla\credential.xml

.EXAMPLE
powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File check-file-sla.ps1 -Config folders.json -Json
#>
[CmdletBinding()]
param(
    [string] $Config = '',
    [string] $Url = '',
    [switch] $Once,
    [string] $Every = '',
    [string] $Spool = '',
    [string] $ReportAgain = '',
    [string] $CredentialFile = '',
    [string] $PasswordFile = '',
    [switch] $PasswordStdin,
    [int] $Attempts = 5,
    [double] $Timeout = 15,
    [switch] $AllowHttp,
    [switch] $Json
)

Set-StrictMode -Version 1.0
$ErrorActionPreference = 'Stop'
# A warning would go to standard output, beside the JSON.
$WarningPreference = 'SilentlyContinue'

Add-Type -AssemblyName System.Net.Http
# Windows PowerShell offers TLS 1.0 unless it is told otherwise; PowerShell 7 is told by the handler, below.
[System.Net.ServicePointManager]::SecurityProtocol = [System.Net.SecurityProtocolType]::Tls12
[System.Net.ServicePointManager]::Expect100Continue = $false

$MaxBodyBytes = 240 * 1024
$MaxFiles = 1000
$MaxEntries = 100
$LongestName = 1024
$LongestNameBytes = 1000
$MaxAnswerBytes = 1024 * 1024
$KeptAside = 1000
$MostUnreadable = 100
$ShortestSlaMinutes = 20
$LongestSlaMinutes = 1440
$SignInPauseSeconds = 300
$TokenMarginSeconds = 30
$BackoffBaseSeconds = 0.5
# With a fraction: [Math]::Min takes the type of its first argument, and would round the other one.
$BackoffCapSeconds = 20.0
$LongestWaitSeconds = 60
$LongestSilenceSeconds = 3600
$DefaultSpoolPosts = 10000
$DefaultSpoolMib = 256
$DefaultArchive = @('archive', 'archives', 'archived', 'archive[-_. ]*', 'archived[-_. ]*')
$DefaultIgnore = @(
    '*.tmp', '*.part', '*.partial', '*.filepart', '*.crdownload',
    '~$*', '.~lock.*', 'thumbs.db', 'desktop.ini', '.ds_store'
)

$Invariant = [System.Globalization.CultureInfo]::InvariantCulture
$Utf8 = New-Object System.Text.UTF8Encoding($false)
# Throws at what is not UTF-8. A byte-order mark outranks it, so that UTF-16 is read as well.
$StrictUtf8 = New-Object System.Text.UTF8Encoding($false, $true)
$Random = New-Object System.Random
$Uptime = [System.Diagnostics.Stopwatch]::StartNew()
$OnWindows = [System.IO.Path]::DirectorySeparatorChar -eq '\'

# What lasts over the runs of -Every.
$script:FailureCode = 1
$script:Http = $null
$script:BaseUrl = ''
$script:Token = $null
$script:TokenEnds = $null
$script:SilentUntil = -1.0
$script:RefusedUntil = -1.0
$script:RefusedPassword = $null
$script:RefusedReason = ''
$script:Store = $null
$script:StdinPassword = $null

function Stop-Collector([int] $Code, [string] $Message) {
    $script:FailureCode = $Code
    throw $Message
}

function Get-Reason($ErrorRecord) {
    # .NET wraps what happened in a MethodInvocationException, and a task's failure in an AggregateException too.
    return $ErrorRecord.Exception.GetBaseException().Message
}

function Format-OneLine([string] $Text) {
    # What a server or a file name says must not forge a line of a log.
    return [regex]::Replace($Text, '[\x00-\x1f\x7f-\x9f\u2028\u2029]', ' ')
}

function Format-Moment([DateTime] $Moment) {
    return $Moment.ToUniversalTime().ToString('o', $Invariant)
}

function ConvertTo-PlainJson($Value) {
    return (ConvertTo-Json -InputObject $Value -Depth 6 -Compress)
}

function ConvertTo-FullPath([string] $Path, [string] $Base) {
    if ($Path -eq '~' -or $Path.StartsWith('~/') -or $Path.StartsWith('~\')) {
        $Path = $HOME + $Path.Substring(1)
    }
    return [System.IO.Path]::GetFullPath([System.IO.Path]::Combine($Base, $Path))
}

# A path of the command line, which starts from PowerShell's current folder; throws when it is none.
function Resolve-GivenPath([string] $Path) {
    $full = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
    return [System.IO.Path]::GetFullPath($full)
}

# A table whose keys are compared as they are; those of @{} are compared without case and by rules of language.
function New-ExactTable {
    return (New-Object System.Collections.Hashtable([StringComparer]::Ordinal))
}

function Get-ReadFailure($ErrorRecord) {
    # The message of a decoder shows the bytes that it could not read; they may be a password's.
    if ($ErrorRecord.Exception.GetBaseException() -is [System.Text.DecoderFallbackException]) {
        return 'it is not UTF-8; save it as UTF-8'
    }
    return (Get-Reason $ErrorRecord)
}

function Get-Identity([string] $FullPath) {
    $identity = $FullPath.TrimEnd('\', '/')
    if ($OnWindows) {
        $identity = $identity.ToUpperInvariant()
    }
    return $identity
}

#region Configuration

function ConvertTo-Seconds([string] $Text, [string] $Where) {
    if ($Text.Trim() -cnotmatch '\A(?:[0-9]{1,9}[dhms])+\z') {
        Stop-Collector 2 "${Where}: '$Text' is not a duration; write for example 20m, 2h, 1h30m or 60s"
    }
    $units = @{ d = 86400.0; h = 3600.0; m = 60.0; s = 1.0 }
    $seconds = 0.0
    foreach ($part in [regex]::Matches($Text, '([0-9]+)([dhms])')) {
        $seconds += [double]::Parse($part.Groups[1].Value, $Invariant) * $units[$part.Groups[2].Value]
    }
    return $seconds
}

function Test-Key($Table, [string[]] $Known, [string] $Where) {
    foreach ($property in $Table.PSObject.Properties) {
        if ($Known -cnotcontains $property.Name) {
            Stop-Collector 2 "$Where$($property.Name): is not a known key; the keys here are $($Known -join ', ')"
        }
        if ($null -eq $property.Value) {
            Stop-Collector 2 "$Where$($property.Name): must not be null"
        }
    }
}

function Get-Value($Table, [string] $Key) {
    $property = $Table.PSObject.Properties[$Key]
    if ($null -eq $property) {
        return $null
    }
    # The comma keeps a list a list; PowerShell would take it apart.
    return , $property.Value
}

function Get-Text($Table, [string] $Key, [string] $Where, [bool] $Required) {
    $value = Get-Value $Table $Key
    if ($null -eq $value) {
        if ($Required) {
            Stop-Collector 2 "$Where${Key}: is missing"
        }
        return $null
    }
    if (-not ($value -is [string]) -or $value.Trim() -eq '') {
        Stop-Collector 2 "$Where${Key}: must be a text that is not empty"
    }
    if ($value -match '[\x00-\x1f\x7f]') {
        Stop-Collector 2 "$Where${Key}: must not hold control characters"
    }
    return $value
}

function Get-Count($Table, [string] $Key, [string] $Where, [int] $Default) {
    $value = Get-Value $Table $Key
    if ($null -eq $value) {
        return $Default
    }
    if (-not ($value -is [int] -or $value -is [long]) -or $value -lt 1 -or $value -gt 1000000) {
        Stop-Collector 2 "$Where${Key}: must be a whole number from 1 to 1000000"
    }
    return [int] $value
}

function Get-Flag($Table, [string] $Key, [string] $Where, [bool] $Default) {
    $value = Get-Value $Table $Key
    if ($null -eq $value) {
        return $Default
    }
    if (-not ($value -is [bool])) {
        Stop-Collector 2 "$Where${Key}: must be true or false"
    }
    return $value
}

function Get-Globs($Table, [string] $Key, [string] $Where, [string[]] $Default) {
    $value = Get-Value $Table $Key
    if ($null -eq $value) {
        return , $Default
    }
    $globs = @($value)
    foreach ($glob in $globs) {
        if (-not ($glob -is [string]) -or $glob -eq '') {
            Stop-Collector 2 "$Where${Key}: must be a glob such as *.csv, or a list of them"
        }
        if ($glob.Contains('/') -or $glob.Contains('\')) {
            Stop-Collector 2 "$Where${Key}: '$glob' holds a path separator; globs are compared with names, not with paths"
        }
    }
    if ($Key -eq 'pattern' -and $globs.Count -eq 0) {
        Stop-Collector 2 "$Where${Key}: is empty, so that no file would be checked; leave it out or write [""*""]"
    }
    return , $globs
}

function Get-SlaMinutes($Table, [string] $Where) {
    $value = Get-Value $Table 'sla'
    if ($null -eq $value) {
        Stop-Collector 2 "${Where}sla: is missing"
    }
    if ($value -is [int] -or $value -is [long]) {
        $minutes = [double] $value
    }
    elseif ($value -is [string]) {
        $minutes = (ConvertTo-Seconds $value "${Where}sla") / 60
    }
    else {
        Stop-Collector 2 "${Where}sla: must be a duration such as 20m or 2h, or a whole number of minutes"
    }
    if ($minutes -lt $ShortestSlaMinutes -or $minutes -gt $LongestSlaMinutes) {
        Stop-Collector 2 "${Where}sla: '$value' is out of bounds; an SLA is from 20m to 24h"
    }
    if ($minutes -ne [Math]::Floor($minutes)) {
        Stop-Collector 2 "${Where}sla: '$value' is not a whole number of minutes"
    }
    return [int] $minutes
}

# A glob as a regular expression: PowerShell's own -like knows no [!...], and reads the backtick as an escape.
function ConvertTo-GlobPattern([string] $Glob) {
    $pattern = New-Object System.Text.StringBuilder
    $at = 0
    while ($at -lt $Glob.Length) {
        $char = $Glob[$at]
        $at++
        if ($char -eq '*') {
            [void] $pattern.Append('.*')
            continue
        }
        if ($char -eq '?') {
            [void] $pattern.Append('.')
            continue
        }
        $end = -1
        if ($char -eq '[') {
            $from = $at
            if ($from -lt $Glob.Length -and $Glob[$from] -eq '!') { $from++ }
            # A bracket that comes first in the set belongs to it.
            if ($from -lt $Glob.Length -and $Glob[$from] -eq ']') { $from++ }
            if ($from -lt $Glob.Length) { $end = $Glob.IndexOf([char] ']', $from) }
        }
        if ($end -lt 0) {
            [void] $pattern.Append([regex]::Escape([string] $char))
            continue
        }
        $set = $Glob.Substring($at, $end - $at)
        $not = ''
        if ($set.StartsWith('!')) {
            $not = '^'
            $set = $set.Substring(1)
        }
        $set = $set.Replace('[', '\[').Replace(']', '\]').Replace('^', '\^')
        [void] $pattern.Append('[' + $not + $set + ']')
        $at = $end + 1
    }
    return $pattern.ToString()
}

function ConvertTo-AnyOf([string[]] $Globs, [string] $Where) {
    if ($null -eq $Globs -or $Globs.Count -eq 0) {
        return $null
    }
    $patterns = @($Globs | ForEach-Object { ConvertTo-GlobPattern $_ })
    $options = [System.Text.RegularExpressions.RegexOptions] 'IgnoreCase, CultureInvariant, Singleline'
    try {
        return (New-Object System.Text.RegularExpressions.Regex(('\A(?:' + ($patterns -join '|') + ')\z'), $options))
    }
    catch {
        Stop-Collector 2 "${Where}: these globs cannot be read: $($Globs -join ', ')"
    }
}

function Read-Config([string] $Path) {
    if ($Path -eq '') {
        Stop-Collector 2 'no configuration: use -Config FILE'
    }
    try {
        $file = Resolve-GivenPath $Path
        $text = [System.IO.File]::ReadAllText($file, $StrictUtf8)
    }
    catch {
        Stop-Collector 2 "${Path}: cannot be read: $(Get-ReadFailure $_)"
    }
    $table = $null
    try {
        $table = ConvertFrom-Json -InputObject $text
    }
    catch {
        Stop-Collector 2 "${file}: is not valid JSON: $(Get-Reason $_)"
    }
    if (-not ($table -is [System.Management.Automation.PSCustomObject])) {
        Stop-Collector 2 "${file}: must be an object with the key 'folders'"
    }
    $where = "${file}: "
    Test-Key $table @(
        'folders', 'url', 'username', 'spool', 'spool_max_posts', 'spool_max_mib', 'report_again', 'archive', 'ignore'
    ) $where
    $base = [System.IO.Path]::GetDirectoryName($file)
    $archive = Get-Globs $table 'archive' $where $DefaultArchive
    $ignore = Get-Globs $table 'ignore' $where $DefaultIgnore
    $entries = Get-Value $table 'folders'
    if ($null -eq $entries) {
        Stop-Collector 2 "${where}folders: is missing"
    }
    if (-not ($entries -is [array]) -or $entries.Count -eq 0) {
        Stop-Collector 2 "${where}folders: must be a list with at least one folder"
    }
    $folders = New-Object System.Collections.ArrayList
    $places = New-ExactTable
    $names = New-Object 'System.Collections.Generic.Dictionary[string,int]'
    for ($index = 0; $index -lt $entries.Count; $index++) {
        $folder = Read-Folder $entries[$index] "${where}folders[$index]" $base $archive $ignore
        if ($places.ContainsKey($folder.Identity)) {
            $first = $places[$folder.Identity]
            Stop-Collector 2 "${where}folders[$index].path: $($folder.Path) is listed already, as folders[$first]; keep one"
        }
        if ($names.ContainsKey($folder.Name)) {
            $first = $names[$folder.Name]
            Stop-Collector 2 "${where}folders[$index].name: '$($folder.Name)' is the name of folders[$first] too"
        }
        $places[$folder.Identity] = $index
        $names[$folder.Name] = $index
        [void] $folders.Add($folder)
    }
    $again = Get-Text $table 'report_again' $where $false
    $againSeconds = $null
    if ($null -ne $again) {
        $againSeconds = ConvertTo-Seconds $again "${where}report_again"
    }
    $spoolText = Get-Text $table 'spool' $where $false
    if ($null -eq $spoolText) {
        $spoolText = [System.IO.Path]::GetFileNameWithoutExtension($file) + '.ps-spool'
    }
    try {
        $spoolPath = ConvertTo-FullPath $spoolText $base
    }
    catch {
        Stop-Collector 2 "${where}spool: '$spoolText' is not a path: $(Get-Reason $_)"
    }
    return @{
        Folders     = $folders.ToArray()
        Url         = Get-Text $table 'url' $where $false
        Username    = Get-Text $table 'username' $where $false
        Spool       = $spoolPath
        MaxPosts    = Get-Count $table 'spool_max_posts' $where $DefaultSpoolPosts
        MaxBytes    = [long] (Get-Count $table 'spool_max_mib' $where $DefaultSpoolMib) * 1024 * 1024
        ReportAgain = $againSeconds
    }
}

function Read-Folder($Entry, [string] $Where, [string] $Base, [string[]] $Archive, [string[]] $Ignore) {
    if (-not ($Entry -is [System.Management.Automation.PSCustomObject])) {
        Stop-Collector 2 "${Where}: must be an object with path and sla"
    }
    $Where = "$Where."
    Test-Key $Entry @('path', 'sla', 'name', 'recursive', 'pattern', 'ignore', 'archive') $Where
    $given = Get-Text $Entry 'path' $Where $true
    try {
        $path = ConvertTo-FullPath $given $Base
    }
    catch {
        Stop-Collector 2 "${Where}path: '$given' is not a path: $(Get-Reason $_)"
    }
    if ($path.Length -gt [System.IO.Path]::GetPathRoot($path).Length) {
        # The same folder has the same name, with a separator at its end or without.
        $path = $path.TrimEnd([System.IO.Path]::DirectorySeparatorChar, [System.IO.Path]::AltDirectorySeparatorChar)
    }
    $name = Get-Text $Entry 'name' $Where $false
    if ($null -eq $name) {
        $name = $path
    }
    if ($Utf8.GetByteCount($name) -gt $LongestNameBytes) {
        Stop-Collector 2 "${Where}name: must be given, and have at most $LongestNameBytes bytes of UTF-8"
    }
    return @{
        Path      = $path
        Identity  = Get-Identity $path
        Name      = $name
        Sla       = Get-SlaMinutes $Entry $Where
        Recursive = Get-Flag $Entry 'recursive' $Where $true
        Pattern   = ConvertTo-AnyOf (Get-Globs $Entry 'pattern' $Where @('*')) "${Where}pattern"
        Ignore    = ConvertTo-AnyOf (Get-Globs $Entry 'ignore' $Where $Ignore) "${Where}ignore"
        Archive   = ConvertTo-AnyOf (Get-Globs $Entry 'archive' $Where $Archive) "${Where}archive"
    }
}

#endregion

#region Scan

function Test-Link($Item) {
    # Deduplicated and cloud files are reparse points as well, yet they are files; only links lead elsewhere.
    if (($Item.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -eq 0) {
        return $false
    }
    return (@('SymbolicLink', 'Junction') -contains $Item.LinkType)
}

# The API takes no longer file name, and would refuse the whole post for one.
function Limit-Name([string] $Name) {
    if ($Name.Length -le $LongestName) {
        return $Name
    }
    $digest = (Get-Digest $Name).Substring(0, 16)
    return ($Name.Substring(0, 500) + '...' + $digest + '...' + $Name.Substring($Name.Length - 500))
}

function Find-LateFile($Folder, [DateTime] $Now, $Listed) {
    $late = New-Object System.Collections.ArrayList
    $unreadable = New-Object System.Collections.ArrayList
    $checked = 0
    $latest = $Now.AddMinutes(-$Folder.Sla)
    $stack = New-Object System.Collections.Stack
    $stack.Push('')
    while ($stack.Count -gt 0) {
        $inside = $stack.Pop()
        $place = $Folder.Path
        # By its length: to -eq, a name of nothing but zero-width characters is empty.
        if ($inside.Length -gt 0) {
            $place = [System.IO.Path]::Combine($Folder.Path, $inside)
        }
        try {
            $directory = New-Object System.IO.DirectoryInfo($place)
            foreach ($item in $directory.EnumerateFileSystemInfos()) {
                $relative = $item.Name
                if ($inside.Length -gt 0) {
                    $relative = "$inside/$relative"
                }
                try {
                    if (Test-Link $item) {
                        continue
                    }
                    if ($item -is [System.IO.DirectoryInfo]) {
                        if (-not $Folder.Recursive) { continue }
                        if ($null -ne $Folder.Archive -and $Folder.Archive.IsMatch($item.Name)) { continue }
                        if ($Listed.ContainsKey((Get-Identity $item.FullName))) { continue }
                        $stack.Push($relative)
                        continue
                    }
                    if (-not $Folder.Pattern.IsMatch($item.Name)) { continue }
                    if ($null -ne $Folder.Ignore -and $Folder.Ignore.IsMatch($item.Name)) { continue }
                    $created = $item.CreationTimeUtc
                    # .NET answers 1601 for a file that has vanished: it was moved in time.
                    if ($created.Year -le 1601) { continue }
                    $checked++
                    if ($created -lt $latest) {
                        $file = @{ Filename = (Limit-Name $relative); Created = $created }
                        [void] $late.Add((New-Object PSObject -Property $file))
                    }
                }
                catch {
                    # One entry that cannot be looked at does not hide those after it.
                    $cause = $_.Exception.GetBaseException()
                    if ($cause -is [System.IO.FileNotFoundException]) { continue }
                    if ($cause -is [System.IO.DirectoryNotFoundException]) { continue }
                    $path = [System.IO.Path]::Combine($place, $item.Name)
                    [void] $unreadable.Add([ordered] @{ folder = $Folder.Name; path = $path; reason = $cause.Message })
                }
            }
        }
        catch {
            $cause = $_.Exception.GetBaseException()
            if ($inside.Length -gt 0 -and $cause -is [System.IO.DirectoryNotFoundException]) {
                continue
            }
            [void] $unreadable.Add([ordered] @{ folder = $Folder.Name; path = $place; reason = $cause.Message })
        }
    }
    $others = $unreadable.Count - $MostUnreadable
    if ($others -gt 0) {
        $unreadable.RemoveRange($MostUnreadable, $others)
        $more = "and $others more paths below it"
        [void] $unreadable.Add([ordered] @{ folder = $Folder.Name; path = $Folder.Path; reason = $more })
    }
    $sorted = @($late | Sort-Object -Property @('Created', 'Filename'))
    return @{
        Late       = $sorted
        Checked    = $checked
        Unreadable = $unreadable.ToArray()
    }
}

#endregion

#region Report

# Breaches as posts within all bounds. Sizes are bounds from above: one UTF-16 unit takes at most 6 bytes in JSON.
function Split-Report($Breaches) {
    $posts = New-Object System.Collections.ArrayList
    $entries = New-Object System.Collections.ArrayList
    $size = 64
    $count = 0
    foreach ($breach in $Breaches) {
        $entry = $null
        foreach ($file in $breach.Files) {
            $cost = 6 * $file.Filename.Length + 64
            $entryCost = 6 * $breach.Folder.Length + 64
            $needed = $cost
            if ($null -eq $entry) { $needed += $entryCost }
            $full = ($size + $needed -gt $MaxBodyBytes) -or ($count -ge $MaxFiles)
            if ($null -eq $entry -and $entries.Count -ge $MaxEntries) { $full = $true }
            if ($full -and $count -gt 0) {
                [void] $posts.Add($entries.ToArray())
                $entries = New-Object System.Collections.ArrayList
                $entry = $null
                $size = 64
                $count = 0
            }
            if ($null -eq $entry) {
                $entry = @{ Folder = $breach.Folder; Sla = $breach.Sla; Files = (New-Object System.Collections.ArrayList) }
                [void] $entries.Add($entry)
                $size += $entryCost
            }
            [void] $entry.Files.Add($file)
            $size += $cost
            $count++
        }
    }
    if ($entries.Count -gt 0) {
        [void] $posts.Add($entries.ToArray())
    }
    return , $posts.ToArray()
}

function ConvertTo-Body($Entries) {
    $errors = @(
        foreach ($entry in $Entries) {
            $files = @(
                foreach ($file in $entry.Files) {
                    [ordered] @{ filename = [string] $file.Filename; creationDate = Format-Moment $file.Created }
                }
            )
            [ordered] @{ folder = [string] $entry.Folder; sla = [int] $entry.Sla; files = $files }
        }
    )
    return (ConvertTo-PlainJson @{ sla_error = $errors })
}

#endregion

#region Memory of what was reported

function Get-MemoryKey($Breach, $File) {
    return ($Breach.Folder + '|' + $Breach.Sla + '|' + $File.Filename + '|' + (Format-Moment $File.Created))
}

function Get-UnixSeconds([DateTime] $Moment) {
    $epoch = New-Object DateTime(1970, 1, 1, 0, 0, 0, [DateTimeKind]::Utc)
    return [Math]::Floor(($Moment - $epoch).TotalSeconds)
}

function Read-Memory([double] $Interval, [DateTime] $Now) {
    $known = New-ExactTable
    try {
        $stored = ConvertFrom-Json -InputObject ([System.IO.File]::ReadAllText($script:Store.Memory))
        $moment = Get-UnixSeconds $Now
        foreach ($row in @($stored.reported)) {
            # A moment ahead of now means that the clock was set back: report rather than stay silent.
            if ($row.at -gt $moment - $Interval -and $row.at -le $moment) {
                $known[[string] $row.key] = $row.at
            }
        }
    }
    catch {
        $known = New-ExactTable
    }
    return $known
}

function Write-Memory($Entries, [double] $Interval, [DateTime] $Now) {
    $known = Read-Memory $Interval $Now
    foreach ($entry in $Entries) {
        foreach ($file in $entry.Files) {
            $known[(Get-MemoryKey $entry $file)] = Get-UnixSeconds $Now
        }
    }
    $rows = @(foreach ($key in $known.Keys) { @{ key = $key; at = $known[$key] } })
    Write-Whole $script:Store.Memory (ConvertTo-PlainJson @{ reported = $rows })
}

#endregion

#region Spool

# The old file or the new one, on disk, whatever happens in between.
function Write-Whole([string] $File, [string] $Text) {
    $bytes = $Utf8.GetBytes($Text)
    $folder = [System.IO.Path]::GetDirectoryName($File)
    $unfinished = [System.IO.Path]::Combine($folder, '.unfinished-' + [System.IO.Path]::GetFileName($File))
    try {
        $stream = New-Object System.IO.FileStream($unfinished, [System.IO.FileMode]::Create, [System.IO.FileAccess]::Write)
        try {
            $stream.Write($bytes, 0, $bytes.Length)
            $stream.Flush($true)
        }
        finally {
            $stream.Dispose()
        }
        if ([System.IO.File]::Exists($File)) {
            [System.IO.File]::Replace($unfinished, $File, [NullString]::Value)
        }
        else {
            [System.IO.File]::Move($unfinished, $File)
        }
    }
    catch {
        $failure = $_
        # With -Every, a full disk would otherwise collect one of these a run.
        try { [System.IO.File]::Delete($unfinished) } catch { $null = $_ }
        throw $failure
    }
}

function Get-Digest([string] $Text) {
    $hash = [System.Security.Cryptography.SHA256]::Create()
    try {
        return [BitConverter]::ToString($hash.ComputeHash($Utf8.GetBytes($Text))).Replace('-', '').ToLowerInvariant()
    }
    finally {
        $hash.Dispose()
    }
}

function Open-Spool([string] $Folder, [int] $MaxPosts, [long] $MaxBytes) {
    $store = @{
        Folder    = $Folder
        Pending   = [System.IO.Path]::Combine($Folder, 'pending')
        Rejected  = [System.IO.Path]::Combine($Folder, 'rejected')
        Corrupt   = [System.IO.Path]::Combine($Folder, 'corrupt')
        Memory    = [System.IO.Path]::Combine($Folder, 'reported.json')
        MaxPosts  = $MaxPosts
        MaxBytes  = $MaxBytes
        Sizes     = @{}
        Bytes     = [long] 0
        Number    = [long] 0
        Discarded = 0
        Lock      = $null
    }
    try {
        foreach ($part in @($store.Folder, $store.Pending, $store.Rejected, $store.Corrupt)) {
            [void] [System.IO.Directory]::CreateDirectory($part)
        }
    }
    catch {
        Stop-Collector 7 "the spool $Folder cannot be used: $(Get-Reason $_)"
    }
    try {
        # Held until the process ends, however it ends.
        $store.Lock = [System.IO.File]::Open(
            [System.IO.Path]::Combine($Folder, 'lock'),
            [System.IO.FileMode]::OpenOrCreate, [System.IO.FileAccess]::ReadWrite, [System.IO.FileShare]::None
        )
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        $inUse = $cause -is [System.IO.IOException]
        # Windows tells a file in use (a sharing or a lock violation) from all else that can go wrong with one.
        if ($OnWindows) { $inUse = @(32, 33) -contains ($cause.HResult -band 0xFFFF) }
        if (-not $inUse) {
            Stop-Collector 7 "the spool $Folder cannot be used: $($cause.Message)"
        }
        Stop-Collector 8 "another collector is using the spool $Folder"
    }
    # From here on, the lock is released by the end of the script.
    $script:Store = $store
    try {
        foreach ($file in (New-Object System.IO.DirectoryInfo($store.Pending)).GetFiles()) {
            if ($file.Name.StartsWith('.unfinished-')) {
                # Left by a process that was killed while it wrote; it had promised nothing yet.
                $file.Delete()
                continue
            }
            $store.Sizes[$file.Name] = $file.Length
            $store.Bytes += $file.Length
            if ($file.Name -match '^([0-9]{12})-') {
                $store.Number = [Math]::Max($store.Number, [long]::Parse($Matches[1], $Invariant))
            }
        }
    }
    catch {
        Stop-Collector 7 "the spool $Folder cannot be read: $(Get-Reason $_)"
    }
}

# Stores one post, durably; why it could not, or $null.
function Add-Post([string] $Body) {
    $store = $script:Store
    $key = [Guid]::NewGuid().ToString()
    $text = ConvertTo-PlainJson ([ordered] @{ version = 1; key = $key; sha256 = (Get-Digest $Body); body = $Body })
    $length = $Utf8.GetByteCount($text)
    if ($store.Sizes.Count -ge $store.MaxPosts) {
        return "the spool $($store.Folder) is full: $($store.Sizes.Count) posts wait"
    }
    if ($store.Bytes + $length -gt $store.MaxBytes) {
        return "the spool $($store.Folder) is full: at most $($store.MaxBytes) bytes may wait"
    }
    $name = ($store.Number + 1).ToString('000000000000', $Invariant) + "-$key.json"
    try {
        Write-Whole ([System.IO.Path]::Combine($store.Pending, $name)) $text
    }
    catch {
        return "the spool $($store.Folder) cannot be written: $(Get-Reason $_)"
    }
    $store.Number++
    $store.Sizes[$name] = [long] $length
    $store.Bytes += $length
    return $null
}

# One post as it was stored; .Damage says what is wrong with a file that cannot be read back.
function Read-Post([string] $Name) {
    if ($Name -cnotmatch '^[0-9]{12}-[0-9a-z-]{1,64}\.json$') {
        return @{ Name = $Name; Damage = 'its name is not that of a spool file' }
    }
    $text = [System.IO.File]::ReadAllText([System.IO.Path]::Combine($script:Store.Pending, $Name), $Utf8)
    try {
        $record = ConvertFrom-Json -InputObject $text
        $key = [string] $record.key
        $body = [string] $record.body
        if ($record.version -ne 1) {
            return @{ Name = $Name; Damage = 'it is not a spool file of this version' }
        }
        if ($Name.Substring(12) -cne "-$key.json") {
            return @{ Name = $Name; Damage = 'its key is not the one in its name' }
        }
        if ((Get-Digest $body) -cne [string] $record.sha256) {
            return @{ Name = $Name; Damage = 'its body does not fit its checksum' }
        }
    }
    catch {
        return @{ Name = $Name; Damage = "it is not a whole spool file: $(Get-Reason $_)" }
    }
    return @{ Name = $Name; Damage = $null; Key = $key; Body = $body }
}

function Remove-Post([string] $Name) {
    [System.IO.File]::Delete([System.IO.Path]::Combine($script:Store.Pending, $Name))
    $script:Store.Bytes -= $script:Store.Sizes[$Name]
    $script:Store.Sizes.Remove($Name)
}

function Move-Corrupt([string] $Name) {
    $target = [System.IO.Path]::Combine($script:Store.Corrupt, $Name)
    [System.IO.File]::Delete($target)
    [System.IO.File]::Move([System.IO.Path]::Combine($script:Store.Pending, $Name), $target)
    $script:Store.Bytes -= $script:Store.Sizes[$Name]
    $script:Store.Sizes.Remove($Name)
    Limit-SetAside $script:Store.Corrupt
}

function Move-Rejected($Post, [int] $Status, [string] $Reason) {
    $record = [ordered] @{
        key      = $Post.Key
        rejected = [ordered] @{ status = $Status; reason = $Reason; at = Format-Moment ([DateTime]::UtcNow) }
        body     = $Post.Body
    }
    Write-Whole ([System.IO.Path]::Combine($script:Store.Rejected, $Post.Name)) (ConvertTo-PlainJson $record)
    Remove-Post $Post.Name
    Limit-SetAside $script:Store.Rejected
}

function Limit-SetAside([string] $Folder) {
    $files = @((New-Object System.IO.DirectoryInfo($Folder)).GetFiles() | Sort-Object -Property LastWriteTimeUtc)
    for ($index = 0; $index -lt $files.Count - $KeptAside; $index++) {
        $files[$index].Delete()
        $script:Store.Discarded++
    }
}

#endregion

#region Client

function Open-Client([string] $BaseUrl) {
    $uri = $null
    if (-not [Uri]::TryCreate($BaseUrl.Trim(), [UriKind]::Absolute, [ref] $uri)) {
        Stop-Collector 2 "the URL '$BaseUrl' must read https://HOST[:PORT][/PATH]"
    }
    if ($uri.UserInfo -ne '') {
        # The URL itself is not repeated: it holds a password.
        Stop-Collector 2 'the URL must not hold a username or a password'
    }
    if (@('https', 'http') -cnotcontains $uri.Scheme -or $uri.Host -eq '') {
        Stop-Collector 2 "the URL '$BaseUrl' must read https://HOST[:PORT][/PATH]"
    }
    if ($uri.Query -ne '' -or $uri.Fragment -ne '') {
        Stop-Collector 2 "the URL '$BaseUrl' must not have a query or a fragment"
    }
    if ($uri.Scheme -eq 'http' -and -not $AllowHttp -and -not $uri.IsLoopback) {
        Stop-Collector 2 ("the URL '$BaseUrl' is neither https nor on this machine: the password would travel in the " +
            'clear; use https, or -AllowHttp on a network that you trust')
    }
    $script:BaseUrl = $uri.GetLeftPart([UriPartial]::Path).TrimEnd('/')
    $handler = New-Object System.Net.Http.HttpClientHandler
    # A redirect would take the password to a host that nobody named.
    $handler.AllowAutoRedirect = $false
    $handler.UseCookies = $false
    # Nor does what stays on this machine, perhaps in the clear, go through a proxy.
    $handler.UseProxy = -not $uri.IsLoopback
    if ($PSVersionTable.PSVersion.Major -ge 6) {
        $handler.SslProtocols = [System.Security.Authentication.SslProtocols]::Tls12
    }
    $script:Http = New-Object System.Net.Http.HttpClient($handler)
    $script:Http.Timeout = [TimeSpan]::FromSeconds($Timeout + 5)
    $script:Http.MaxResponseContentBufferSize = $MaxAnswerBytes
}

# One request, one answer: .Status is 0 when there was none, and .Problem says why.
function Invoke-Exchange([string] $Path, [string] $Body, [hashtable] $Headers) {
    $answer = @{ Status = 0; Text = ''; RetryAfter = $null; Problem = ''; Lasting = $false }
    $request = New-Object System.Net.Http.HttpRequestMessage([System.Net.Http.HttpMethod]::Post, ($script:BaseUrl + $Path))
    $cancel = New-Object System.Threading.CancellationTokenSource
    $response = $null
    try {
        $request.Content = [System.Net.Http.ByteArrayContent]::new($Utf8.GetBytes($Body))
        $request.Content.Headers.ContentType = [System.Net.Http.Headers.MediaTypeHeaderValue]::Parse('application/json')
        [void] $request.Headers.TryAddWithoutValidation('Accept', 'application/json, application/problem+json')
        [void] $request.Headers.TryAddWithoutValidation('User-Agent', 'check-file-sla.ps1/0.1.0')
        foreach ($name in $Headers.Keys) {
            [void] $request.Headers.TryAddWithoutValidation($name, [string] $Headers[$name])
        }
        $task = $script:Http.SendAsync(
            $request, [System.Net.Http.HttpCompletionOption]::ResponseContentRead, $cancel.Token
        )
        # HttpClient's own limit does not cover the body on every version of .NET.
        if (-not $task.Wait([int] ($Timeout * 1000))) {
            $cancel.Cancel()
            $answer.Problem = "no whole answer within $Timeout s"
            return $answer
        }
        $response = $task.Result
        $answer.Text = $Utf8.GetString($response.Content.ReadAsByteArrayAsync().GetAwaiter().GetResult())
        $answer.Status = [int] $response.StatusCode
        $after = $response.Headers.RetryAfter
        if ($null -ne $after) {
            if ($null -ne $after.Delta) {
                $answer.RetryAfter = $after.Delta.TotalSeconds
            }
            elseif ($null -ne $after.Date) {
                $seconds = ($after.Date.UtcDateTime - [DateTime]::UtcNow).TotalSeconds
                $answer.RetryAfter = [Math]::Max(0.0, $seconds)
            }
        }
    }
    catch {
        $cause = $_.Exception.GetBaseException()
        $answer.Status = 0
        $answer.Problem = $cause.Message
        # A certificate that cannot be verified does not become better by asking again.
        $answer.Lasting = $cause -is [System.Security.Authentication.AuthenticationException]
    }
    finally {
        if ($null -ne $response) { $response.Dispose() }
        $request.Dispose()
        $cancel.Dispose()
    }
    return $answer
}

function ConvertFrom-Answer($Answer) {
    try {
        $value = ConvertFrom-Json -InputObject $Answer.Text
    }
    catch {
        return $null
    }
    if ($value -is [System.Management.Automation.PSCustomObject]) {
        return $value
    }
    return $null
}

function Get-AnswerReason($Answer) {
    $parts = @()
    $problem = ConvertFrom-Answer $Answer
    if ($null -ne $problem) {
        foreach ($key in @('title', 'detail')) {
            $value = Get-Value $problem $key
            if ($null -ne $value) { $parts += [string] $value }
        }
        $errors = Get-Value $problem 'errors'
        if ($null -ne $errors) { $parts += ConvertTo-PlainJson $errors }
    }
    $told = ("$($Answer.Status) " + ($parts -join ': ')).Trim()
    if ($told.Length -gt 500) { $told = $told.Substring(0, 500) }
    return (Format-OneLine $told)
}

function Test-Stored($Answer) {
    $fields = ConvertFrom-Answer $Answer
    if ($null -eq $fields) { return $false }
    return ((Get-Value $fields 'stored') -is [array])
}

function Get-AccessToken($Answer) {
    $fields = ConvertFrom-Answer $Answer
    if ($null -eq $fields) { return $null }
    $token = Get-Value $fields 'access_token'
    # Only what may stand in a header.
    if ($token -is [string] -and $token -cmatch '\A[\x21-\x7e]+\z') { return $token }
    return $null
}

# A request, tried as often as that can help. .Kind is 'whole' (2xx and of the right form), 'refused' or 'unavailable'.
function Invoke-Request([string] $What, [string] $Path, [string] $Body, [hashtable] $Headers) {
    $silence = $script:SilentUntil - $Uptime.Elapsed.TotalSeconds
    if ($silence -gt 0) {
        $reason = "the server asked not to be called for another $([Math]::Ceiling($silence)) s"
        return @{ Kind = 'unavailable'; Status = 0; Reason = $reason; Answer = $null }
    }
    $failures = 0
    while ($true) {
        $retryAfter = $null
        $answer = Invoke-Exchange $Path $Body $Headers
        $status = $answer.Status
        if ($status -eq 0) {
            $problem = "${What}: $($answer.Problem)"
            if ($answer.Lasting) {
                return @{ Kind = 'unavailable'; Status = 0; Reason = $problem; Answer = $null }
            }
        }
        elseif (@(400, 401, 403, 413, 415, 422) -contains $status) {
            return @{ Kind = 'refused'; Status = $status; Reason = (Get-AnswerReason $answer); Answer = $answer }
        }
        elseif ($status -ge 200 -and $status -lt 300) {
            if ($What -eq 'sign-in') { $whole = $null -ne (Get-AccessToken $answer) }
            else { $whole = Test-Stored $answer }
            if ($whole) {
                return @{ Kind = 'whole'; Status = $status; Reason = ''; Answer = $answer }
            }
            $problem = "${What}: $status, but the body is not an answer of the API"
        }
        elseif ($status -ge 500 -or @(408, 409, 425, 429) -contains $status) {
            $problem = "${What}: $(Get-AnswerReason $answer)"
            $retryAfter = $answer.RetryAfter
        }
        else {
            $reason = "${What}: $(Get-AnswerReason $answer); is the URL that of the API?"
            return @{ Kind = 'unavailable'; Status = $status; Reason = $reason; Answer = $null }
        }
        $failures++
        $seconds = 0.0
        if ($null -ne $retryAfter) {
            $seconds = $retryAfter
            $silent = [Math]::Min($retryAfter, $LongestSilenceSeconds)
            $script:SilentUntil = $Uptime.Elapsed.TotalSeconds + $silent
            if ($retryAfter -gt $LongestWaitSeconds) {
                $reason = "$problem; the server asks to wait $([Math]::Ceiling($retryAfter)) s"
                return @{ Kind = 'unavailable'; Status = $status; Reason = $reason; Answer = $null }
            }
        }
        if ($failures -ge $Attempts) {
            $reason = "$problem ($failures attempts)"
            return @{ Kind = 'unavailable'; Status = $status; Reason = $reason; Answer = $null }
        }
        # Full jitter, so that many collectors that one outage has aligned do not come back at once.
        $bound = [Math]::Min($BackoffCapSeconds, $BackoffBaseSeconds * [Math]::Pow(2, [Math]::Min($failures - 1, 32)))
        $seconds += $Random.NextDouble() * $bound
        Write-Problem "$problem; attempt $($failures + 1) of $Attempts in $([Math]::Round($seconds, 1)) s"
        Start-Sleep -Milliseconds ([int] ($seconds * 1000))
    }
}

# Signs in; why it could not, or $null. .Kind of what is returned is 'signin' or 'unavailable'.
function Connect-Api([string] $Username) {
    try {
        # Asked at every sign-in, so that a password that was changed is seen.
        $found = Read-Credentials $Username
    }
    catch {
        $script:FailureCode = 1
        return @{ Kind = 'signin'; Reason = (Get-Reason $_) }
    }
    if ($found.Password -ceq $script:RefusedPassword -and $Uptime.Elapsed.TotalSeconds -lt $script:RefusedUntil) {
        $reason = "$($script:RefusedReason); the same password is not tried again before $SignInPauseSeconds s are over"
        return @{ Kind = 'signin'; Reason = $reason }
    }
    $body = ConvertTo-PlainJson ([ordered] @{ username = $found.Username; password = $found.Password })
    $asked = $Uptime.Elapsed.TotalSeconds
    $result = Invoke-Request 'sign-in' '/auth' $body @{}
    if ($result.Kind -eq 'unavailable') {
        $kind = 'unavailable'
        # The API answers 429 after repeated wrong passwords: it is there, and lets nobody in.
        if ($result.Status -eq 429) { $kind = 'signin' }
        return @{ Kind = $kind; Reason = $result.Reason }
    }
    if ($result.Kind -eq 'refused') {
        $told = $result.Reason.Replace($found.Password, '***')
        $script:RefusedReason = "the sign-in of '$($found.Username)' was refused: $told"
        $script:RefusedPassword = $found.Password
        $script:RefusedUntil = $Uptime.Elapsed.TotalSeconds + $SignInPauseSeconds
        return @{ Kind = 'signin'; Reason = $script:RefusedReason }
    }
    $script:Token = Get-AccessToken $result.Answer
    $script:TokenEnds = $null
    $lasts = Get-Value (ConvertFrom-Answer $result.Answer) 'expires_in'
    if (($lasts -is [int] -or $lasts -is [long]) -and $lasts -gt 2 * $TokenMarginSeconds) {
        $script:TokenEnds = $asked + $lasts - $TokenMarginSeconds
    }
    return $null
}

# Delivers one post. .Kind is 'accepted', 'refused', 'signin' or 'unavailable'.
function Send-Post($Post, [string] $Username) {
    for ($round = 1; $round -le 2; $round++) {
        if ($null -ne $script:TokenEnds -and $Uptime.Elapsed.TotalSeconds -ge $script:TokenEnds) {
            $script:Token = $null
        }
        if ($null -eq $script:Token) {
            $failure = Connect-Api $Username
            if ($null -ne $failure) { return $failure }
        }
        $headers = @{ 'Authorization' = "Bearer $($script:Token)"; 'Idempotency-Key' = $Post.Key }
        $result = Invoke-Request 'post' '/file_sla_error' $Post.Body $headers
        if ($result.Kind -eq 'whole') { return @{ Kind = 'accepted' } }
        if ($result.Kind -eq 'unavailable') { return $result }
        if ($result.Status -ne 401 -and $result.Status -ne 403) { return $result }
        # The token is over: sign in once more, and no more than once.
        $script:Token = $null
        if ($result.Status -eq 403) { break }
    }
    return @{ Kind = 'signin'; Reason = "signed in, but the post was not allowed: $($result.Reason)" }
}

#endregion

#region Credentials

function Get-TextPassword([string] $Text, [string] $Source) {
    # An editor or echo adds one line ending; any other space may belong to the password.
    # Ordinal: by the rules of a language, PowerShell 7 sees no line feed in a carriage return and a line feed.
    $ordinal = [StringComparison]::Ordinal
    if ($Text.EndsWith("`n", $ordinal)) { $Text = $Text.Substring(0, $Text.Length - 1) }
    if ($Text.EndsWith("`r", $ordinal)) { $Text = $Text.Substring(0, $Text.Length - 1) }
    if ($Text -eq '') {
        Stop-Collector 2 "the password in $Source is empty"
    }
    return $Text
}

function Read-Credentials([string] $Configured) {
    if ($CredentialFile -ne '') {
        try {
            $credential = Import-Clixml -LiteralPath $CredentialFile
            $name = $credential.UserName
            $password = $credential.GetNetworkCredential().Password
        }
        catch {
            Stop-Collector 2 "the credential file $CredentialFile cannot be read by this user: $(Get-Reason $_)"
        }
        if ([string]::IsNullOrEmpty($name) -or [string]::IsNullOrEmpty($password)) {
            Stop-Collector 2 "the credential file $CredentialFile holds no username and password"
        }
        return @{ Username = $name; Password = $password }
    }
    $name = ([string] [Environment]::GetEnvironmentVariable('FILE_SLA_USERNAME')).Trim()
    if ($name -eq '') { $name = $Configured }
    if ([string]::IsNullOrEmpty($name)) {
        Stop-Collector 2 'no username: set FILE_SLA_USERNAME, or write "username" into the configuration'
    }
    if ($PasswordFile -ne '') {
        try {
            $text = [System.IO.File]::ReadAllText((Resolve-GivenPath $PasswordFile), $StrictUtf8)
        }
        catch {
            Stop-Collector 2 "the password file $PasswordFile cannot be read: $(Get-ReadFailure $_)"
        }
        $password = Get-TextPassword $text $PasswordFile
    }
    elseif ($PasswordStdin) {
        # Read once; it is gone afterwards.
        if ($null -eq $script:StdinPassword) {
            $script:StdinPassword = Get-TextPassword ([Console]::In.ReadToEnd()) 'standard input'
        }
        $password = $script:StdinPassword
    }
    else {
        $password = [Environment]::GetEnvironmentVariable('FILE_SLA_PASSWORD')
        if ([string]::IsNullOrEmpty($password)) {
            Stop-Collector 2 'no password: set FILE_SLA_PASSWORD, or use -CredentialFile, -PasswordFile or -PasswordStdin'
        }
    }
    return @{ Username = $name; Password = $password }
}

#endregion

#region Run

function Write-Problem([string] $Text) {
    [Console]::Error.WriteLine((Format-OneLine $Text))
}

function Find-Breach($Configuration, $Outcome, [double] $Interval) {
    $now = [DateTime]::UtcNow
    $listed = New-ExactTable
    foreach ($folder in $Configuration.Folders) { $listed[$folder.Identity] = $true }
    # The spool, too: it may lie in a watched folder, and what waits in it is nobody's late file.
    $listed[(Get-Identity $script:Store.Folder)] = $true
    $known = @{}
    if ($Interval -gt 0) { $known = Read-Memory $Interval $now }
    $fresh = New-Object System.Collections.ArrayList
    foreach ($folder in $Configuration.Folders) {
        $seen = Find-LateFile $folder $now $listed
        $Outcome.folders++
        $Outcome.files_checked += $seen.Checked
        foreach ($each in $seen.Unreadable) { [void] $Outcome.unreadable.Add($each) }
        $files = @($seen.Late)
        if ($files.Count -eq 0) { continue }
        $Outcome.late_folders++
        $Outcome.late_files += $files.Count
        $breach = @{ Folder = $folder.Name; Sla = $folder.Sla; Files = $files }
        $breach.Files = @($files | Where-Object { -not $known.ContainsKey((Get-MemoryKey $breach $_)) })
        $Outcome.files_held_back += $files.Count - $breach.Files.Count
        if ($breach.Files.Count -gt 0) { [void] $fresh.Add($breach) }
    }
    return , $fresh.ToArray()
}

# Puts posts into the spool from number $From on; the number of the first for which there was no room.
function Save-Report($Posts, [int] $From, $Outcome, [double] $Interval) {
    $Outcome.SpoolError = $null
    $stored = New-Object System.Collections.ArrayList
    $next = $From
    while ($next -lt $Posts.Count) {
        $problem = Add-Post (ConvertTo-Body $Posts[$next])
        if ($null -ne $problem) {
            $Outcome.SpoolError = $problem
            break
        }
        foreach ($entry in $Posts[$next]) { [void] $stored.Add($entry) }
        $Outcome.posts_spooled++
        $next++
    }
    if ($Interval -gt 0 -and $stored.Count -gt 0) {
        try {
            Write-Memory $stored.ToArray() $Interval ([DateTime]::UtcNow)
        }
        catch {
            [void] $Outcome.warnings.Add("what was reported could not be noted: $(Get-Reason $_)")
        }
    }
    return $next
}

# Sends what waits, the oldest first; $false when the API takes no more now.
function Send-Spool([string] $Username, $Outcome) {
    [string[]] $names = @($script:Store.Sizes.Keys)
    [Array]::Sort($names, [StringComparer]::Ordinal)
    foreach ($name in $names) {
        if (-not [System.IO.File]::Exists([System.IO.Path]::Combine($script:Store.Pending, $name))) {
            # Someone cleared the spool by hand; that is theirs to do.
            $script:Store.Bytes -= $script:Store.Sizes[$name]
            $script:Store.Sizes.Remove($name)
            continue
        }
        $post = Read-Post $name
        if ($null -ne $post.Damage) {
            Move-Corrupt $name
            [void] $Outcome.set_aside.Add([ordered] @{ name = $name; status = $null; reason = $post.Damage })
            continue
        }
        $result = Send-Post $post $Username
        if ($result.Kind -eq 'accepted') {
            Remove-Post $name
            $Outcome.posts_sent++
        }
        elseif ($result.Kind -eq 'refused') {
            Move-Rejected $post $result.Status $result.Reason
            $aside = [ordered] @{ name = $name; status = [int] $result.Status; reason = $result.Reason }
            [void] $Outcome.set_aside.Add($aside)
        }
        elseif ($result.Kind -eq 'signin') {
            $Outcome.SignInError = $result.Reason
            return $false
        }
        else {
            $Outcome.Unavailable = $result.Reason
            return $false
        }
    }
    return $true
}

function Invoke-Run($Configuration, [string] $Username, [double] $Interval) {
    $outcome = @{
        Started = [DateTime]::UtcNow; SpoolError = $null; SignInError = $null; Unavailable = $null
        folders = 0; files_checked = 0; late_folders = 0; late_files = 0; files_held_back = 0
        posts_spooled = 0; posts_not_spooled = 0; posts_sent = 0; posts_pending = 0; set_aside_discarded = 0
        set_aside = (New-Object System.Collections.ArrayList)
        unreadable = (New-Object System.Collections.ArrayList)
        warnings = (New-Object System.Collections.ArrayList)
    }
    $script:Store.Discarded = 0
    $breaches = Find-Breach $Configuration $outcome $Interval
    $posts = Split-Report $breaches
    $next = 0
    try {
        $next = Save-Report $posts 0 $outcome $Interval
        while ((Send-Spool $Username $outcome) -and $next -lt $posts.Count) {
            # What was sent has made room.
            $before = $next
            $next = Save-Report $posts $next $outcome $Interval
            if ($next -eq $before) { break }
        }
        if ($next -lt $posts.Count) {
            $next = Save-Report $posts $next $outcome $Interval
        }
    }
    catch {
        $outcome.SpoolError = "the spool $($script:Store.Folder) cannot be used: $(Get-Reason $_)"
    }
    $outcome.posts_not_spooled = $posts.Count - $next
    $outcome.posts_pending = $script:Store.Sizes.Count
    $outcome.set_aside_discarded = $script:Store.Discarded
    return $outcome
}

function Get-ExitCode($Outcome) {
    if ($null -ne $Outcome.SpoolError -or $Outcome.posts_not_spooled -gt 0) { return 7 }
    if ($null -ne $Outcome.SignInError) { return 3 }
    if ($null -ne $Outcome.Unavailable -or $Outcome.posts_pending -gt 0) { return 4 }
    if ($Outcome.set_aside.Count -gt 0) { return 6 }
    if ($Outcome.unreadable.Count -gt 0) { return 5 }
    return 0
}

$ExitNames = @{
    0 = 'sent'; 1 = 'failed'; 2 = 'usage'; 3 = 'sign_in'; 4 = 'spooled'
    5 = 'unreadable'; 6 = 'rejected'; 7 = 'not_spooled'; 8 = 'in_use'
}

function Write-AsciiJson($Value) {
    # ASCII only, so that no code page of a console or of a pipe can spoil it.
    $text = [regex]::Replace((ConvertTo-PlainJson $Value), '[^\x20-\x7e]', {
            param($match)
            '\u' + ([int] [char] $match.Value).ToString('x4', $Invariant)
        })
    [Console]::Out.WriteLine($text)
}

function Write-Outcome($Outcome) {
    $code = Get-ExitCode $Outcome
    $problem = $Outcome.SpoolError
    if ($null -eq $problem) { $problem = $Outcome.SignInError }
    if ($null -eq $problem) { $problem = $Outcome.Unavailable }
    if ($Json) {
        Write-AsciiJson ([ordered] @{
                exit_code           = $code
                exit                = $ExitNames[$code]
                started             = Format-Moment $Outcome.Started
                finished            = Format-Moment ([DateTime]::UtcNow)
                folders             = $Outcome.folders
                files_checked       = $Outcome.files_checked
                late_folders        = $Outcome.late_folders
                late_files          = $Outcome.late_files
                files_held_back     = $Outcome.files_held_back
                posts_spooled       = $Outcome.posts_spooled
                posts_not_spooled   = $Outcome.posts_not_spooled
                posts_sent          = $Outcome.posts_sent
                posts_pending       = $Outcome.posts_pending
                set_aside           = @($Outcome.set_aside.ToArray())
                set_aside_discarded = $Outcome.set_aside_discarded
                unreadable          = @($Outcome.unreadable.ToArray())
                warnings            = @($Outcome.warnings.ToArray())
                error               = $problem
            })
        return
    }
    foreach ($each in $Outcome.unreadable) { Write-Problem "unreadable: $($each.path): $($each.reason)" }
    foreach ($each in $Outcome.set_aside) {
        $where = 'rejected'
        if ($null -eq $each.status) { $where = 'corrupt' }
        Write-Problem "set aside as $where/$($each.name): $($each.reason)"
    }
    if ($Outcome.set_aside_discarded -gt 0) {
        Write-Problem "deleted $($Outcome.set_aside_discarded) of the oldest files that were set aside"
    }
    if ($Outcome.posts_not_spooled -gt 0) {
        Write-Problem "$($Outcome.posts_not_spooled) posts were not stored; the next run finds their files again"
    }
    foreach ($each in @($Outcome.SpoolError, $Outcome.SignInError, $Outcome.Unavailable)) {
        if ($null -ne $each) { Write-Problem $each }
    }
    foreach ($each in $Outcome.warnings) { Write-Problem $each }
    $held = ''
    if ($Outcome.files_held_back -gt 0) { $held = ", $($Outcome.files_held_back) of them reported before" }
    [Console]::Out.WriteLine(
        "$($Outcome.late_files) late files in $($Outcome.late_folders) of $($Outcome.folders) folders$held; " +
        "$($Outcome.posts_sent) posts sent, $($Outcome.posts_pending) waiting"
    )
}

function Invoke-Main {
    if ($Attempts -lt 1 -or $Attempts -gt 100) {
        Stop-Collector 2 '-Attempts: must be from 1 to 100'
    }
    if (-not ($Timeout -gt 0 -and $Timeout -le 600)) {
        Stop-Collector 2 '-Timeout: must be a number of seconds up to 600'
    }
    if ($Once -and $Every -ne '') {
        Stop-Collector 2 '-Once and -Every exclude each other'
    }
    $everySeconds = 0.0
    if ($Every -ne '') {
        $everySeconds = ConvertTo-Seconds $Every '-Every'
        if ($everySeconds -lt 1) { Stop-Collector 2 '-Every: must be at least 1s' }
    }
    $configuration = Read-Config $Config
    $baseUrl = $Url
    if ($baseUrl -eq '' -and $null -ne $configuration.Url) { $baseUrl = $configuration.Url }
    if ($baseUrl -eq '') {
        Stop-Collector 2 'no URL: use -Url URL, or write "url" into the configuration'
    }
    $interval = 0.0
    if ($null -ne $configuration.ReportAgain) { $interval = $configuration.ReportAgain }
    if ($ReportAgain -ne '') { $interval = ConvertTo-Seconds $ReportAgain '-ReportAgain' }
    Open-Client $baseUrl
    $username = [string] $configuration.Username
    # Asked now already, so that a missing password is a matter of usage.
    [void] (Read-Credentials $username)
    $place = $configuration.Spool
    if ($Spool -ne '') {
        try {
            $place = Resolve-GivenPath $Spool
        }
        catch {
            Stop-Collector 7 "the spool $Spool cannot be used: $(Get-Reason $_)"
        }
    }
    Open-Spool $place $configuration.MaxPosts $configuration.MaxBytes
    while ($true) {
        $began = $Uptime.Elapsed.TotalSeconds
        $outcome = Invoke-Run $configuration $username $interval
        Write-Outcome $outcome
        if ($Every -eq '') {
            $script:FailureCode = Get-ExitCode $outcome
            return
        }
        # From start to start, so that a long run does not shift the ones after it; never two at once.
        $rest = $began + $everySeconds - $Uptime.Elapsed.TotalSeconds
        if ($rest -gt 0) { Start-Sleep -Milliseconds ([int] [Math]::Min($rest * 1000, [int]::MaxValue)) }
    }
}

#endregion

try {
    Invoke-Main
}
catch {
    $code = $script:FailureCode
    if ($code -eq 0) { $code = 1 }
    $script:FailureCode = $code
    $message = Format-OneLine $_.Exception.Message
    if ($Json) {
        Write-AsciiJson ([ordered] @{ exit_code = $code; exit = $ExitNames[$code]; error = $message })
    }
    else {
        [Console]::Error.WriteLine("check-file-sla.ps1: $message")
    }
}
finally {
    if ($null -ne $script:Store -and $null -ne $script:Store.Lock) { $script:Store.Lock.Dispose() }
    if ($null -ne $script:Http) { $script:Http.Dispose() }
}
exit $script:FailureCode
