"""Where the program itself runs: its folders, their mounts and locks, and the user it works as."""
