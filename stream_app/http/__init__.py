"""What strangers may ask of the servers of this installation: the dashboard's and the workers' views."""
