package fault

// Users and their rights.
const (
	NotAuthorized         Reason = "not authorized" // with Why, which names what was missing
	UserNameInvalid       Reason = "user name"
	UserEmail             Reason = "e-mail address of a user"
	UserMobilePhone       Reason = "mobile phone of a user"
	PolicyNameInvalid     Reason = "policy name"
	LoginProfileNotFound  Reason = "login profile not found"
	MFADeviceNotFound     Reason = "MFA device not found"
	UserNotFound          Reason = "user not found"
	UserExists            Reason = "user exists"
	UserHasAccessKeys     Reason = "user has access keys"
	UserHasPolicies       Reason = "user has policies"
	PolicyNotFound        Reason = "policy not found"
	PolicyExists          Reason = "policy exists"
	PolicyMalformed       Reason = "policy document malformed" // with Why, one line
	PolicyAttached        Reason = "policy is attached"
	PolicyHasVersions     Reason = "policy has other versions"
	PolicyVersionNotFound Reason = "policy version not found"
	PolicyVersionInUse    Reason = "policy version is the default one"
	AttachmentExists      Reason = "policy is attached already"
	AttachmentNotFound    Reason = "policy is not attached"
	GrantNotFound         Reason = "grant not found"
	QuotaUser             Reason = "user quota"
	QuotaAccessKey        Reason = "access key quota"
	QuotaPolicy           Reason = "policy quota"
	QuotaPolicyVersion    Reason = "policy version quota"
	QuotaAttachedPolicy   Reason = "attached policy quota"
)
