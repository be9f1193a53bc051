"""The inventory itself: datacenters, folders, clusters and their hosts, pools of resources."""
