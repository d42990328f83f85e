"""The fields of every resource the lab serves, as the published API description has them: name, type, what may be read only.

One string per schema, one `name:type` per field. Types: s text, b true or false, i 32-bit integer, d number, u and l 64-bit integers as
text (unsigned, signed), y bytes in base64, =A|B one of these words, [T] a list, {T} a map, * not looked into, a capital another schema.
After the type: `~` a resource name, `~~` another pattern, `!` output only. Words of more than twelve are not listed: text.
"""

SCHEMAS: dict[str, str] = {
    "AccessConfig": (
        "externalIpv6:s externalIpv6PrefixLength:i ipCollection:s kind:s! name:s natIP:s "
        "networkTier:=FIXED_STANDARD|PREMIUM|STANDARD|STANDARD_OVERRIDES_FIXED_STANDARD publicPtrDomainName:s securityPolicy:s "
        "setPublicPtr:b type:=DIRECT_IPV6|ONE_TO_ONE_NAT"
    ),
    "AliasIpRange": "ipCidrRange:s subnetworkRangeName:s",
    "AttachedDisk": (
        "architecture:=ARCHITECTURE_UNSPECIFIED|ARM64|X86_64! autoDelete:b boot:b deviceName:s diskEncryptionKey:* diskSizeGb:l "
        "forceAttach:b guestOsFeatures:[*] index:i! initializeParams:* interface:=NVME|SCSI kind:s! licenses:[s]! "
        "mode:=READ_ONLY|READ_WRITE savedState:=DISK_SAVED_STATE_UNSPECIFIED|PRESERVED! shieldedInstanceInitialState:*! source:s "
        "type:=PERSISTENT|SCRATCH"
    ),
    "Binding": "condition:Expr members:[s] role:s",
    "DisplayDevice": "enableDisplay:b",
    "Expr": "description:s expression:s location:s title:s",
    "Firewall": (
        "allowed:[FirewallProtocol] creationTimestamp:s! denied:[FirewallProtocol] description:s destinationRanges:[s] "
        "direction:=EGRESS|INGRESS disabled:b id:u! kind:s! logConfig:FirewallLogConfig name:s~ network:s params:FirewallParams "
        "priority:i selfLink:s sourceRanges:[s] sourceServiceAccounts:[s] sourceTags:[s] targetServiceAccounts:[s] targetTags:[s]"
    ),
    "FirewallList": "id:s items:[Firewall] kind:s! nextPageToken:s selfLink:s! warning:Warning",
    "FirewallLogConfig": "enable:b metadata:=EXCLUDE_ALL_METADATA|INCLUDE_ALL_METADATA",
    "FirewallParams": "resourceManagerTags:{s}",
    "FirewallPoliciesScopedList": "firewallPolicies:[FirewallPolicy] warning:Warning",
    "FirewallPolicy": (
        "associations:[FirewallPolicyAssociation] creationTimestamp:s! description:s displayName:s~ fingerprint:y id:u kind:s! "
        "name:s packetMirroringRules:[FirewallPolicyRule] parent:s! policySource:=SYSTEM|USER_DEFINED "
        "policyType:=RDMA_ROCE_POLICY|ULL_POLICY|VPC_POLICY region:s! ruleTupleCount:i! rules:[FirewallPolicyRule] selfLink:s "
        "selfLinkWithId:s! shortName:s~"
    ),
    "FirewallPolicyAssociation": "attachmentTarget:s displayName:s firewallPolicyId:s! name:s priority:i shortName:s!",
    "FirewallPolicyList": "id:s items:[FirewallPolicy] kind:s! nextPageToken:s warning:Warning",
    "FirewallPolicyRule": (
        "action:s description:s direction:=EGRESS|INGRESS disabled:b enableLogging:b kind:s! match:FirewallPolicyRuleMatcher "
        "priority:i ruleName:s ruleTupleCount:i! securityProfileGroup:s targetForwardingRules:[s] targetResources:[s] "
        "targetSecureTags:[FirewallPolicyRuleSecureTag] targetServiceAccounts:[s] targetType:=INSTANCES|INTERNAL_MANAGED_LB "
        "tlsInspect:b"
    ),
    "FirewallPolicyRuleMatcher": (
        "destAddressGroups:[s] destFqdns:[s] destIpRanges:[s] "
        "destNetworkContext:=INTERNET|INTRA_VPC|NON_INTERNET|UNSPECIFIED|VPC_NETWORKS "
        "destNetworkType:=INTERNET|INTRA_VPC|NON_INTERNET|UNSPECIFIED|VPC_NETWORKS destRegionCodes:[s] "
        "destThreatIntelligences:[s] layer4Configs:[Layer4Config] srcAddressGroups:[s] srcFqdns:[s] srcIpRanges:[s] "
        "srcNetworkContext:=INTERNET|INTRA_VPC|NON_INTERNET|UNSPECIFIED|VPC_NETWORKS "
        "srcNetworkType:=INTERNET|INTRA_VPC|NON_INTERNET|UNSPECIFIED|VPC_NETWORKS srcNetworks:[s] srcRegionCodes:[s] "
        "srcSecureTags:[FirewallPolicyRuleSecureTag] srcThreatIntelligences:[s]"
    ),
    "FirewallPolicyRuleSecureTag": "name:s~~ state:=EFFECTIVE|INEFFECTIVE!",
    "FirewallProtocol": "IPProtocol:s ports:[s]",
    "GlobalSetPolicyRequest": "bindings:[Binding] etag:y policy:Policy",
    "Instance": (
        "advancedMachineFeatures:* canIpForward:b confidentialInstanceConfig:* cpuPlatform:s! creationTimestamp:s! "
        "deletionProtection:b description:s disks:[AttachedDisk] displayDevice:DisplayDevice fingerprint:y guestAccelerators:[*] "
        "hostname:s id:u! instanceEncryptionKey:* keyRevocationActionType:=KEY_REVOCATION_ACTION_TYPE_UNSPECIFIED|NONE|STOP "
        "kind:s! labelFingerprint:y labels:{s} lastStartTimestamp:s! lastStopTimestamp:s! lastSuspendedTimestamp:s! "
        "localSsdEncryptionMode:=EPHEMERAL_KEY_ENCRYPTION|LOCAL_SSD_ENCRYPTION_MODE_UNSPECIFIED|STANDARD_ENCRYPTION machineType:s "
        "metadata:Metadata minCpuPlatform:s name:s~ networkInterfaces:[NetworkInterface] networkPerformanceConfig:* "
        "params:InstanceParams "
        "privateIpv6GoogleAccess:=ENABLE_BIDIRECTIONAL_ACCESS_TO_GOOGLE|ENABLE_OUTBOUND_VM_ACCESS_TO_GOOGLE|"
        "INHERIT_FROM_SUBNETWORK "
        "reservationAffinity:* resourcePolicies:[s] resourceStatus:*! satisfiesPzi:b! satisfiesPzs:b! scheduling:Scheduling "
        "selfLink:s! serviceAccounts:[ServiceAccount] shieldedInstanceConfig:ShieldedInstanceConfig "
        "shieldedInstanceIntegrityPolicy:* sourceMachineImage:s sourceMachineImageEncryptionKey:* startRestricted:b! "
        "status:=DEPROVISIONING|PENDING|PENDING_STOP|PROVISIONING|REPAIRING|RUNNING|STAGING|STOPPED|STOPPING|SUSPENDED|"
        "SUSPENDING|TERMINATED! "
        "statusMessage:s! tags:Tags workloadIdentityConfig:* zone:s!"
    ),
    "InstanceAggregatedList": "id:s items:{InstancesScopedList} kind:s! nextPageToken:s selfLink:s! unreachables:[s]! warning:Warning",
    "InstanceEffectivePolicy": (
        "displayName:s! name:s! packetMirroringRules:[FirewallPolicyRule]! priority:i! rules:[FirewallPolicyRule] shortName:s! "
        "type:=HIERARCHY|NETWORK|NETWORK_REGIONAL|SYSTEM_GLOBAL|SYSTEM_REGIONAL|UNSPECIFIED!"
    ),
    "InstanceList": "id:s items:[Instance] kind:s! nextPageToken:s selfLink:s! warning:Warning",
    "InstanceParams": "requestValidForDuration:* resourceManagerTags:{s}",
    "InstancesGetEffectiveFirewallsResponse": "firewallPolicys:[InstanceEffectivePolicy] firewalls:[Firewall]",
    "InstancesScopedList": "instances:[Instance] warning:Warning",
    "InstancesSetLabelsRequest": "labelFingerprint:y labels:{s}",
    "Layer4Config": "ipProtocol:s ports:[s]",
    "Metadata": "fingerprint:y items:[MetadataItems] kind:s!",
    "MetadataItems": "key:s~~ value:s",
    "Network": (
        "IPv4Range:s~~ additionalTags:[s]! autoCreateSubnetworks:b creationTimestamp:s! description:s enableUlaInternalIpv6:b "
        "firewallPolicy:s! gatewayIPv4:s~~ id:u! internalIpv6Range:s kind:s! mtu:i name:s~ "
        "networkFirewallPolicyEnforcementOrder:=AFTER_CLASSIC_FIREWALL|BEFORE_CLASSIC_FIREWALL networkProfile:s "
        "params:NetworkParams peerings:[NetworkPeering]! routingConfig:NetworkRoutingConfig selfLink:s selfLinkWithId:s! "
        "subnetworks:[s]"
    ),
    "NetworkEffectivePolicy": (
        "displayName:s! name:s! packetMirroringRules:[FirewallPolicyRule]! priority:i! rules:[FirewallPolicyRule] shortName:s! "
        "type:=HIERARCHY|NETWORK|SYSTEM|UNSPECIFIED!"
    ),
    "NetworkFirewallPolicyAggregatedList": (
        "id:s items:{FirewallPoliciesScopedList} kind:s! nextPageToken:s selfLink:s! unreachables:[s]! warning:Warning"
    ),
    "NetworkInterface": (
        "accessConfigs:[AccessConfig] aliasIpRanges:[AliasIpRange] aliasIpv6Ranges:[AliasIpRange] enableVpcScopedDns:b "
        "fingerprint:y igmpQuery:=IGMP_QUERY_DISABLED|IGMP_QUERY_V2 internalIpv6PrefixLength:i ipv6AccessConfigs:[AccessConfig] "
        "ipv6AccessType:=EXTERNAL|INTERNAL! ipv6Address:s kind:s! name:s network:s networkAttachment:s networkIP:s "
        "nicType:=GVNIC|IDPF|IRDMA|MRDMA|UNSPECIFIED_NIC_TYPE|VIRTIO_NET parentNicName:s queueCount:i serviceClassId:s "
        "stackType:=IPV4_IPV6|IPV4_ONLY|IPV6_ONLY subnetwork:s vlan:i"
    ),
    "NetworkList": "id:s items:[Network] kind:s! nextPageToken:s selfLink:s! warning:Warning",
    "NetworkParams": "resourceManagerTags:{s}",
    "NetworkPeering": (
        "autoCreateRoutes:b connectionStatus:*! exchangeSubnetRoutes:b exportCustomRoutes:b exportSubnetRoutesWithPublicIp:b "
        "importCustomRoutes:b importSubnetRoutesWithPublicIp:b name:s network:s peerMtu:i! stackType:=IPV4_IPV6|IPV4_ONLY "
        "state:=ACTIVE|INACTIVE! stateDetails:s! updateStrategy:=CONSENSUS|INDEPENDENT|UNSPECIFIED"
    ),
    "NetworkRoutingConfig": (
        "bgpAlwaysCompareMed:b bgpBestPathSelectionMode:=LEGACY|STANDARD bgpInterRegionCost:=ADD_COST_TO_MED|DEFAULT "
        "effectiveBgpAlwaysCompareMed:b! effectiveBgpInterRegionCost:=ADD_COST_TO_MED|DEFAULT! routingMode:=GLOBAL|REGIONAL"
    ),
    "NetworksGetEffectiveFirewallsResponse": "firewallPolicys:[NetworkEffectivePolicy] firewalls:[Firewall]",
    "Operation": (
        "clientOperationId:s creationTimestamp:s description:s endTime:s error:OperationError getHealthOperationMetadata:*! "
        "getVersionOperationMetadata:* httpErrorMessage:s httpErrorStatusCode:i id:u insertTime:s "
        "instancesBulkInsertOperationMetadata:* kind:s! name:s operationGroupId:s! operationType:s progress:i region:s selfLink:s "
        "setCommonInstanceMetadataOperationMetadata:*! startTime:s status:=DONE|PENDING|RUNNING statusMessage:s targetId:u "
        "targetLink:s user:s warnings:[Warning] zone:s"
    ),
    "OperationError": "errors:[OperationErrorItem]",
    "OperationErrorDetail": "errorInfo:* help:* localizedMessage:* quotaInfo:*",
    "OperationErrorItem": "code:s errorDetails:[OperationErrorDetail] location:s message:s",
    "OperationList": "id:s items:[Operation] kind:s! nextPageToken:s selfLink:s warning:Warning",
    "Policy": "auditConfigs:[*] bindings:[Binding] etag:y version:i",
    "Project": (
        "cloudArmorTier:=CA_ENTERPRISE_ANNUAL|CA_ENTERPRISE_PAYGO|CA_STANDARD! commonInstanceMetadata:Metadata "
        "creationTimestamp:s defaultNetworkTier:=FIXED_STANDARD|PREMIUM|STANDARD|STANDARD_OVERRIDES_FIXED_STANDARD "
        "defaultServiceAccount:s description:s enabledFeatures:[s] id:u kind:s! name:s quotas:[Quota] selfLink:s "
        "usageExportLocation:* vmDnsSetting:=GLOBAL_DEFAULT|UNSPECIFIED_VM_DNS_SETTING|ZONAL_DEFAULT|ZONAL_ONLY! "
        "xpnProjectStatus:=HOST|UNSPECIFIED_XPN_PROJECT_STATUS"
    ),
    "Quota": "limit:d metric:s owner:s usage:d",
    "Scheduling": (
        "automaticRestart:b availabilityDomain:i exposeHostTopology:b gracefulShutdown:* hostErrorTimeoutSeconds:i "
        "instanceTerminationAction:=DELETE|INSTANCE_TERMINATION_ACTION_UNSPECIFIED|STOP localSsdRecoveryTimeout:* locationHint:s "
        "maxRunDuration:* minNodeCpus:i nodeAffinities:[*] onHostMaintenance:=MIGRATE|TERMINATE onInstanceStopAction:* "
        "preemptible:b preemptionNoticeDuration:* "
        "protectionTier:=PROTECTION_TIER_CAPACITY_OPTIMIZED|PROTECTION_TIER_STANDARD|PROTECTION_TIER_UNSPECIFIED "
        "provisioningModel:=FLEX_START|RESERVATION_BOUND|SPOT|STANDARD skipGuestOsShutdown:b terminationTime:s"
    ),
    "ServiceAccount": "email:s scopes:[s]",
    "ShieldedInstanceConfig": "enableIntegrityMonitoring:b enableSecureBoot:b enableVtpm:b",
    "Subnetwork": (
        "allowSubnetCidrRoutesOverlap:b creationTimestamp:s! description:s enableFlowLogs:b externalIpv6Prefix:s fingerprint:y "
        "gatewayAddress:s! id:u! internalIpv6Prefix:s ipCidrRange:s ipCollection:s ipv6AccessType:=EXTERNAL|INTERNAL "
        "ipv6CidrRange:s! ipv6GceEndpoint:=VM_AND_FR|VM_ONLY! kind:s! logConfig:SubnetworkLogConfig name:s~ network:s "
        "params:SubnetworkParams privateIpGoogleAccess:b "
        "privateIpv6GoogleAccess:=DISABLE_GOOGLE_ACCESS|ENABLE_BIDIRECTIONAL_ACCESS_TO_GOOGLE|ENABLE_OUTBOUND_VM_ACCESS_TO_GOOGLE "
        "purpose:=GLOBAL_MANAGED_PROXY|INTERNAL_HTTPS_LOAD_BALANCER|PEER_MIGRATION|PRIVATE|PRIVATE_NAT|PRIVATE_RFC_1918|"
        "PRIVATE_SERVICE_CONNECT|REGIONAL_MANAGED_PROXY "
        "region:s reservedInternalRange:s "
        "resolveSubnetMask:=ARP_ALL_RANGES|ARP_BROADCAST_PRIMARY_RANGE|ARP_BROADCAST_PRIMARY_RANGE_WITH_LEARNING|ARP_PRIMARY_RANGE "
        "role:=ACTIVE|BACKUP secondaryIpRanges:[SubnetworkSecondaryRange] selfLink:s stackType:=IPV4_IPV6|IPV4_ONLY|IPV6_ONLY "
        "state:=DRAINING|READY! systemReservedExternalIpv6Ranges:[s]! systemReservedInternalIpv6Ranges:[s]! utilizationDetails:*!"
    ),
    "SubnetworkAggregatedList": (
        "id:s items:{SubnetworksScopedList} kind:s! nextPageToken:s selfLink:s! unreachables:[s]! warning:Warning"
    ),
    "SubnetworkLogConfig": (
        "aggregationInterval:=INTERVAL_10_MIN|INTERVAL_15_MIN|INTERVAL_1_MIN|INTERVAL_30_SEC|INTERVAL_5_MIN|INTERVAL_5_SEC "
        "enable:b filterExpr:s flowSampling:d metadata:=CUSTOM_METADATA|EXCLUDE_ALL_METADATA|INCLUDE_ALL_METADATA "
        "metadataFields:[s]"
    ),
    "SubnetworkParams": "resourceManagerTags:{s}",
    "SubnetworkSecondaryRange": (
        "ipCidrRange:s ipCollection:s ipVersion:=IPV4|IPV6|IP_VERSION_UNSPECIFIED rangeName:s reservedInternalRange:s"
    ),
    "SubnetworksScopedList": "subnetworks:[Subnetwork] warning:Warning",
    "Tags": "fingerprint:y items:[s]",
    "TestPermissionsRequest": "permissions:[s]",
    "TestPermissionsResponse": "permissions:[s]",
    "Warning": "code:s data:[WarningItem] message:s",
    "WarningItem": "key:s value:s",
}
